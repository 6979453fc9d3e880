from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    operations = [
        migrations.CreateModel("Ship", [
            ("id", models.BigAutoField(primary_key=True)),
            ("name", models.TextField()),
        ]),
        migrations.CreateModel("Unloading", [
            ("id", models.BigAutoField(primary_key=True)),
            ("ship", models.TextField()),
            ("version", models.TextField()),
        ]),
    ]
