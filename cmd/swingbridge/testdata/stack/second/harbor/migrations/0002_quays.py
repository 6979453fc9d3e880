from django.db import migrations, models


def build(apps, schema_editor):
    apps.get_model("harbor", "Quay").objects.create(name="second quay")


class Migration(migrations.Migration):
    dependencies = [("harbor", "0001_ships")]
    operations = [
        migrations.CreateModel("Quay", [
            ("id", models.BigAutoField(primary_key=True)),
            ("name", models.TextField()),
        ]),
        migrations.AddField("Ship", "quay", models.ForeignKey("harbor.quay", null=True, on_delete=models.SET_NULL)),
        migrations.RunPython(build),
    ]
