//===- EmitPTXTest.cpp - PTX, and what cannot become any ------------------===//

#include "coppice/Target/EmitPTX.h"
#include "coppice/Target/AssemblePTX.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Parser/Parser.h"
#include "gtest/gtest.h"

using namespace mlir;

namespace coppice {
namespace {

class EmitPTX : public testing::Test {
protected:
  EmitPTX() {
    context.loadDialect<LLVM::LLVMDialect, NVVM::NVVMDialect>();
    handler.emplace(&context, [&](Diagnostic &diagnostic) {
      errors += diagnostic.str() + "\n";
      for (Diagnostic &note : diagnostic.getNotes())
        errors += note.str() + "\n";
    });
  }

  /// Empty, with `errors`, on failure.
  std::string emit(StringRef source, StringRef chip = "sm_80",
                   StringRef features = "") {
    errors.clear();
    OwningOpRef<ModuleOp> module =
        parseSourceString<ModuleOp>(source, ParserConfig(&context));
    if (!module)
      return "";
    PTXOptions options;
    options.chip = chip;
    options.features = features;
    options.dumpLLVM = dump;
    FailureOr<std::string> ptx = emitPTX(*module, options);
    return succeeded(ptx) ? *ptx : "";
  }
  bool says(StringRef words) { return errors.find(words) != std::string::npos; }

  MLIRContext context;
  std::optional<ScopedDiagnosticHandler> handler;
  std::string errors, dump;
};

constexpr const char *kExp = R"(
  llvm.mlir.global external @ring() {addr_space = 3 : i32, alignment = 16 : i64} : !llvm.array<0 x i8>
  llvm.func @k(%x: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.reqntid = array<i32: 64, 1, 1>} {
    %ring = llvm.mlir.addressof @ring : !llvm.ptr<3>
    %v = llvm.load %x : !llvm.ptr<1> -> f32
    %e = llvm.call_intrinsic "llvm.nvvm.ex2.approx.ftz.f32"(%v) : (f32) -> f32
    llvm.store %e, %ring : f32, !llvm.ptr<3>
    nvvm.barrier0
    %r = llvm.load %ring : !llvm.ptr<3> -> f32
    llvm.store %r, %x : f32, !llvm.ptr<1>
    llvm.return
  })";

TEST_F(EmitPTX, SaysWhatTheKernelIs) {
  std::string ptx = emit(kExp);
  for (const char *words :
       {".version 7.1", ".target sm_80", ".visible .entry k(", ".reqntid 64",
        "ex2.approx.ftz.f32", ".extern .shared .align 16 .b8 ring[]"})
    EXPECT_NE(ptx.find(words), std::string::npos) << words << errors;
  EXPECT_NE(emit(kExp, "sm_90a").find(".target sm_90a"), std::string::npos);
  EXPECT_NE(emit(kExp, "sm_80", "+ptx83").find(".version 8.3"),
            std::string::npos);
  EXPECT_EQ(emit(kExp), ptx); // the same bytes each time
}

TEST_F(EmitPTX, UnresolvedFunctionsAreNamed) {
  EXPECT_EQ(emit(R"(
    llvm.func @__nv_expf(f32) -> f32
    llvm.func @helper(i32)
    llvm.func @k(%x: !llvm.ptr<1>, %i: i32) attributes {nvvm.kernel} {
      %v = llvm.load %x : !llvm.ptr<1> -> f32
      %e = llvm.call @__nv_expf(%v) : (f32) -> f32
      llvm.call @helper(%i) : (i32) -> ()
      llvm.store %e, %x : f32, !llvm.ptr<1>
      llvm.return
    })"),
            "");
  EXPECT_TRUE(says("'__nv_expf'")) << errors;
  EXPECT_TRUE(says("'helper'")) << errors;
  EXPECT_TRUE(says("functions of libdevice are not linked")) << errors;
}

TEST_F(EmitPTX, MathWithoutAnInstructionIsAnErrorAndNotTheEnd) {
  // LLVM has no code for these, and would end the process or call libm.
  for (StringRef function : {"llvm.intr.exp", "llvm.intr.pow"}) {
    bool two = function.ends_with("pow");
    std::string source =
        ("llvm.func @k(%x: !llvm.ptr<1>) attributes {nvvm.kernel} {\n"
         "%v = llvm.load %x : !llvm.ptr<1> -> f32\n%e = " +
         function + "(%v" + (two ? ", %v) : (f32, f32)" : ") : (f32)") +
         " -> f32\nllvm.store %e, %x : f32, !llvm.ptr<1>\nllvm.return\n}")
            .str();
    EXPECT_EQ(emit(source), "") << function.str();
    EXPECT_FALSE(errors.empty()) << function.str();
    // And the next kernel is none the worse.
    EXPECT_NE(emit(kExp), "") << errors;
  }
}

TEST_F(EmitPTX, ChipsMustHaveWhatKernelsUse) {
  constexpr const char *async = R"(
    llvm.func @k(%x: !llvm.ptr<1>) attributes {nvvm.kernel} {
      nvvm.wgmma.fence.aligned
      llvm.return
    })";
  EXPECT_EQ(emit(async), "");
  EXPECT_TRUE(says("'nvvm.wgmma.fence.aligned' (sm_90a only), found sm_80"))
      << errors;
  EXPECT_NE(emit(async, "sm_90a").find("wgmma.fence.sync.aligned"),
            std::string::npos)
      << errors;
  EXPECT_EQ(emit(kExp, "sm_9999"), "");
  EXPECT_TRUE(says("expected a chip such as 'sm_80' or 'sm_90a', found "
                   "'sm_9999'"))
      << errors;
  EXPECT_EQ(emit(kExp, ""), "");
  // LLVM's own refusal: bf16 products came with sm_80.
  constexpr const char *product = R"(
    llvm.func @k(%x: !llvm.ptr<1>, %i: i32, %f: f32) attributes {nvvm.kernel} {
      %d = nvvm.mma.sync A[%i, %i, %i, %i] B[%i, %i] C[%f, %f, %f, %f] {layoutA = #nvvm.mma_layout<row>, layoutB = #nvvm.mma_layout<col>,
        multiplicandAPtxType = #nvvm.mma_type<bf16>, multiplicandBPtxType = #nvvm.mma_type<bf16>, shape = #nvvm.shape<m = 16, n = 8, k = 16>}
        : (i32, i32, f32) -> !llvm.struct<(f32, f32, f32, f32)>
      %e = llvm.extractvalue %d[0] : !llvm.struct<(f32, f32, f32, f32)>
      llvm.store %e, %x : f32, !llvm.ptr<1>
      llvm.return
    })";
  EXPECT_EQ(emit(product, "sm_70"), "");
  EXPECT_TRUE(says("LLVM has no code for a kernel on 'sm_70'")) << errors;
  EXPECT_TRUE(says("nvvm.mma.m16n8k16")) << errors;
  EXPECT_NE(emit(product), "") << errors;
}

TEST_F(EmitPTX, ADumpThatCannotBeWrittenIsNoFaultOfTheCode) {
  dump = "/nowhere/k.ll";
  EXPECT_EQ(emit(kExp), "");
  EXPECT_TRUE(says("cannot write '/nowhere/k.ll': ")) << errors;
  EXPECT_FALSE(says("PTX")) << errors;
}

TEST_F(EmitPTX, RefusesOtherDialects) {
  context.allowUnregisteredDialects();
  EXPECT_EQ(emit(R"("some.op"() : () -> ())"), "");
  EXPECT_TRUE(says("expected kernels in the LLVM and NVVM dialects")) << errors;
}

TEST_F(EmitPTX, AssemblesWherePtxasIs) {
  std::optional<std::string> ptxas = findPtxas();
  if (!ptxas)
    GTEST_SKIP() << "no ptxas in PATH";
  for (const char *chip : {"sm_80", "sm_90a"}) {
    llvm::Expected<AssembledPTX> assembled =
        assemblePTX(*ptxas, emit(kExp, chip), chip);
    ASSERT_TRUE(static_cast<bool>(assembled))
        << llvm::toString(assembled.takeError());
    ASSERT_EQ(assembled->kernels.size(), 1u);
    EXPECT_GT(assembled->kernels.begin()->second.registers, 0);
    EXPECT_EQ(assembled->kernels.begin()->second.spillBytes, 0);
    EXPECT_FALSE(assembled->cubin.empty());
  }
}

TEST(AssemblePTX, SaysWhatPtxasSays) {
  std::optional<std::string> ptxas = findPtxas();
  if (!ptxas)
    GTEST_SKIP() << "no ptxas in PATH";
  llvm::Expected<AssembledPTX> assembled =
      assemblePTX(*ptxas, "this is no PTX", "sm_80");
  ASSERT_FALSE(static_cast<bool>(assembled));
  std::string message = llvm::toString(assembled.takeError());
  EXPECT_NE(message.find("fails for sm_80"), std::string::npos) << message;
  EXPECT_NE(message.find("kernels.ptx"), std::string::npos) << message;
}

TEST(AssemblePTX, ReadsWhatKernelsTake) {
  auto kernels = parseResources(R"(ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'one' for 'sm_80'
ptxas info    : Function properties for one
    24 bytes stack frame, 20 bytes spill stores, 16 bytes spill loads
ptxas info    : Used 255 registers, used 1 barriers, 48 bytes smem, 360 bytes cmem[0]
ptxas info    : Compiling entry function 'two' for 'sm_80'
ptxas info    : Function properties for two
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 6 registers, used 0 barriers, 360 bytes cmem[0]
)");
  ASSERT_EQ(kernels.size(), 2u);
  EXPECT_EQ(kernels["one"].registers, 255);
  EXPECT_EQ(kernels["one"].stackBytes, 24);
  EXPECT_EQ(kernels["one"].spillBytes, 36);
  EXPECT_EQ(kernels["one"].sharedBytes, 48);
  EXPECT_EQ(kernels["two"].registers, 6);
  EXPECT_EQ(kernels["two"].spillBytes, 0);
  EXPECT_EQ(kernels["two"].sharedBytes, 0);
}

} // namespace
} // namespace coppice
