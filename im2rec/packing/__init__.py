"""Make list files from folders of images, and record files from lists."""
