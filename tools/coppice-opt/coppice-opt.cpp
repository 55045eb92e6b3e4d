// coppice-opt: runs passes and pipelines on IR files, one at a time by hand or
// in a test. Every stage of the compiler is reachable from here.
#include "coppice/InitAll.h"

#include "mlir/IR/DialectRegistry.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  coppice::registerAllDialects(registry);
  coppice::registerAllPasses();
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "Coppice's optimizer driver\n", registry));
}
