//===- EmulatorFixture.h - kernels from text, run and reported --*- C++ -*-===//

#ifndef COPPICE_TEST_UNIT_EMULATOR_EMULATORFIXTURE_H
#define COPPICE_TEST_UNIT_EMULATOR_EMULATORFIXTURE_H

#include "coppice/Emulator/Emulator.h"
#include "coppice/Target/EmitPTX.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Parser/Parser.h"
#include "gtest/gtest.h"

namespace coppice {

class EmulatorTest : public testing::Test {
protected:
  EmulatorTest() {
    context.loadDialect<mlir::LLVM::LLVMDialect, mlir::NVVM::NVVMDialect>();
    handler.emplace(&context, [&](mlir::Diagnostic &diagnostic) {
      errors += diagnostic.str() + "\n";
    });
  }

  /// Decodes `module` or the kernels in `text`; null after an error.
  Emulator *make(mlir::OwningOpRef<mlir::ModuleOp> kernels) {
    emulator.reset();
    module = std::move(kernels);
    if (!module)
      return nullptr;
    mlir::FailureOr<std::unique_ptr<Emulator>> made = Emulator::create(*module);
    if (failed(made))
      return nullptr;
    emulator = std::move(*made);
    return emulator.get();
  }
  Emulator *make(llvm::StringRef text) {
    return make(mlir::parseSourceString<mlir::ModuleOp>(
        text, mlir::ParserConfig(&context)));
  }

  template <typename T>
  KernelArgument buffer(llvm::StringRef name, std::vector<T> &data,
                        BufferOptions options = {}) {
    return KernelArgument::pointer(emulator->addBuffer(
        name, data.data(), data.size() * sizeof(T), options));
  }

  LaunchReport launch(llvm::StringRef kernel, Dim3 grid, Dim3 block,
                      llvm::ArrayRef<KernelArgument> arguments,
                      uint64_t dynamicShared = 0,
                      const EmulatorOptions &options = {}) {
    llvm::Expected<LaunchReport> report = emulator->launch(
        kernel, grid, block, dynamicShared, arguments, options);
    if (report)
      return std::move(*report);
    ADD_FAILURE() << llvm::toString(report.takeError());
    return {};
  }

  /// The PTX of the module for sm_80; empty, with `errors`, on failure.
  std::string ptx(llvm::StringRef features = "") {
    PTXOptions options;
    options.features = features;
    mlir::FailureOr<std::string> text = emitPTX(*module, options);
    return succeeded(text) ? *text : std::string();
  }

  mlir::MLIRContext context;
  std::optional<mlir::ScopedDiagnosticHandler> handler;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::unique_ptr<Emulator> emulator;
  std::string errors;
};

/// Some fault of a report is of this kind and says this.
inline testing::AssertionResult isFault(const LaunchReport &report,
                                        Fault::Kind kind,
                                        llvm::StringRef words = "") {
  for (const Fault &fault : report.faults)
    if (fault.kind == kind && fault.str().find(words) != std::string::npos)
      return testing::AssertionSuccess();
  return testing::AssertionFailure()
         << "expected a fault '" << stringify(kind).str() << "' with '"
         << words.str() << "', found:\n"
         << report.str();
}

} // namespace coppice

#endif // COPPICE_TEST_UNIT_EMULATOR_EMULATORFIXTURE_H
