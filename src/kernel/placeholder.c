/* kernel */ typedef int kernel_floor;
