from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("harbor", "0004_pilots")]
    operations = [migrations.RunSQL("ALTER TABLE harbor_tide ADD COLUMN height integer")]
