from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("harbor", "0003_arrivals")]
    operations = [
        migrations.CreateModel("Pilot", [
            ("id", models.BigAutoField(primary_key=True)),
            ("ship", models.ForeignKey("harbor.ship", on_delete=models.CASCADE)),
        ]),
        migrations.AddIndex("Ship", models.Index(fields=["name"], name="ships_by_name")),
    ]
