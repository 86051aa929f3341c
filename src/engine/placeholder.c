/* engine */ typedef int engine_floor;
