from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("harbor", "0003_arrivals")]
    operations = [migrations.RunSQL("ALTER TABLE harbor_tide ADD COLUMN height integer")]
