/* format */ typedef int format_floor;
