from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("harbor", "0002_quays")]
    operations = [
        migrations.AddField("Ship", "arrived", models.DateTimeField(null=True, auto_now_add=True, db_index=True)),
    ]
