/* chat */ typedef int chat_floor;
