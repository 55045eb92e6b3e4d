#include "tools/coppice-run/run_main.h"

int main(int argc, char **argv) { return coppice_run_main(argc, argv); }
