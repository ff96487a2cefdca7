import sys

from workers.catalogue.page import page

sys.stdout.write(page())
