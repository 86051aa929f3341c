/* text */ typedef int text_floor;
