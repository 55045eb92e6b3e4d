//===- EmitCPUTest.cpp - errors of emission and what it promises ----------===//

#include "coppice/Target/EmitCPU.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "gtest/gtest.h"

using namespace mlir;

namespace coppice {
namespace {

class EmitCPU : public testing::Test {
protected:
  void SetUp() override {
    context.loadDialect<LLVM::LLVMDialect>();
    handler.emplace(&context, [&](Diagnostic &diagnostic) {
      errors += diagnostic.str() + "\n";
    });
    ASSERT_FALSE(llvm::sys::fs::createUniqueDirectory("coppice-emit", folder));
    path = (folder + "/kernels.so").str();
  }
  void TearDown() override { llvm::sys::fs::remove_directories(folder); }

  /// Files in the folder that was written to.
  std::vector<std::string> files() {
    std::vector<std::string> names;
    std::error_code code;
    for (llvm::sys::fs::directory_iterator i(folder, code), end; i != end;
         i.increment(code))
      names.push_back(i->path());
    return names;
  }

  FailureOr<EmittedTarget> emit(StringRef source,
                                CPUTargetOptions options = {}) {
    module = parseSourceString<ModuleOp>(source, ParserConfig(&context));
    return emitCPU(*module, path, options);
  }

  MLIRContext context;
  std::optional<ScopedDiagnosticHandler> handler;
  OwningOpRef<ModuleOp> module;
  std::string errors;
  SmallString<128> folder;
  std::string path;
};

constexpr const char *kEmpty = R"(
  llvm.func @kernel(%a: !llvm.ptr, %s: !llvm.ptr, %b: i64, %e: i64) { llvm.return }
)";

TEST_F(EmitCPU, DescribesTheFile) {
  CPUTargetOptions options;
  options.target.isa = CPUTarget::ISA::AVX512;
  FailureOr<EmittedTarget> emitted = emit(kEmpty, options);
  ASSERT_TRUE(succeeded(emitted)) << errors;
  EXPECT_EQ(files(), std::vector<std::string>{path});
  uint64_t size = 0;
  ASSERT_FALSE(llvm::sys::fs::file_size(path, size));
  EXPECT_EQ(emitted->bytes, size);
  EXPECT_EQ(emitted->sha256.size(), 64u);
  EXPECT_TRUE(llvm::is_contained(emitted->requires_, "avx512f"));
  EXPECT_TRUE(llvm::is_contained(emitted->requires_, "fma"));
}

TEST_F(EmitCPU, SameInputSameBytes) {
  FailureOr<EmittedTarget> first = emit(kEmpty), second = emit(kEmpty);
  ASSERT_TRUE(succeeded(first) && succeeded(second)) << errors;
  EXPECT_EQ(first->sha256, second->sha256);
}

TEST_F(EmitCPU, KernelsImportNothingButLibm) {
  EXPECT_TRUE(succeeded(emit(R"(
    llvm.func @cosf(f32) -> f32
    llvm.func @kernel(%x: f32) -> f32 { %0 = llvm.call @cosf(%x) : (f32) -> f32  llvm.return %0 : f32 }
  )")))
      << errors;
  llvm::sys::fs::remove(path);
  EXPECT_TRUE(failed(emit(R"(
    llvm.func @getenv(f32) -> f32
    llvm.func @kernel(%x: f32) -> f32 { %0 = llvm.call @getenv(%x) : (f32) -> f32  llvm.return %0 : f32 }
  )")));
  EXPECT_NE(errors.find("getenv"), std::string::npos) << errors;
  EXPECT_TRUE(files().empty());
}

TEST_F(EmitCPU, LoopsAreNotTurnedIntoLibraryCalls) {
  // Storing zeros is what memset is for.
  EXPECT_TRUE(succeeded(emit(R"(
    llvm.func @kernel(%p: !llvm.ptr, %n: i64) {
      %zero = llvm.mlir.constant(0 : i64) : i64
      %one = llvm.mlir.constant(1 : i64) : i64
      %f = llvm.mlir.constant(0.0 : f32) : f32
      llvm.br ^loop(%zero : i64)
    ^loop(%i: i64):
      %at = llvm.getelementptr %p[%i] : (!llvm.ptr, i64) -> !llvm.ptr, f32
      llvm.store %f, %at : f32, !llvm.ptr
      %next = llvm.add %i, %one : i64
      %more = llvm.icmp "slt" %next, %n : i64
      llvm.cond_br %more, ^loop(%next : i64), ^end
    ^end:
      llvm.return
    }
  )")))
      << errors;
}

TEST_F(EmitCPU, SaysWhichLinkersItLookedFor) {
  CPUTargetOptions options;
  options.linker = "no-such-linker";
  EXPECT_TRUE(failed(emit(kEmpty, options)));
  EXPECT_NE(errors.find("expected 'no-such-linker' in PATH"), std::string::npos)
      << errors;
}

TEST_F(EmitCPU, CannotWriteWhereThereIsNoFolder) {
  path = (folder + "/missing/kernels.so").str();
  EXPECT_TRUE(failed(emit(kEmpty)));
  EXPECT_NE(errors.find(path), std::string::npos) << errors;
  EXPECT_TRUE(files().empty());
}

TEST_F(EmitCPU, RefusesWhatIsNotInTheLLVMDialect) {
  context.allowUnregisteredDialects();
  EXPECT_TRUE(failed(emit(R"("some.op"() : () -> ())")));
  EXPECT_NE(errors.find("expected kernels in the LLVM dialect"),
            std::string::npos)
      << errors;
}

TEST(CPUTarget, Names) {
  std::string error;
  EXPECT_TRUE(failed(CPUTarget::parse("sse2", error)));
  EXPECT_NE(error.find("found 'sse2'"), std::string::npos);
  FailureOr<CPUTarget> avx2 = CPUTarget::parse("avx2", error);
  ASSERT_TRUE(succeeded(avx2));
  EXPECT_EQ(avx2->name(), "avx2");
  EXPECT_FALSE(llvm::is_contained(avx2->requirements(), "avx512f"));
  FailureOr<CPUTarget> pairs = CPUTarget::parse("avx512_bf16", error);
  ASSERT_TRUE(succeeded(pairs));
  EXPECT_EQ(pairs->name(), "avx512_bf16");
  EXPECT_EQ(pairs->lanes(), 16);
  EXPECT_TRUE(llvm::is_contained(pairs->requirements(), "avx512_bf16"));
  EXPECT_FALSE(llvm::is_contained(pairs->requirements(), "amx_bf16"));
  FailureOr<CPUTarget> tiles = CPUTarget::parse("amx_bf16", error);
  ASSERT_TRUE(succeeded(tiles));
  EXPECT_EQ(tiles->name(), "amx_bf16");
  EXPECT_TRUE(tiles->roundsToBF16());
  EXPECT_TRUE(llvm::is_contained(tiles->requirements(), "amx_tile"));
  EXPECT_TRUE(llvm::is_contained(tiles->requirements(), "amx_bf16"));
}

} // namespace
} // namespace coppice
