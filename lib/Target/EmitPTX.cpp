//===- EmitPTX.cpp - kernels in the LLVM and NVVM dialects to PTX ---------===//
//
// In: a module of `llvm.func` kernels. Out: PTX text.
//
// Translation, optimisation (-O3) and code generation run in this process. PTX
// may leave functions for the driver to resolve, and the driver would find none
// of libdevice's: what is left unresolved is an error here.
//
// LLVM ends the process where it cannot select code (an intrinsic that the chip
// or the PTX version lacks). While code is generated that is caught: LLVM's
// report jumps out of the code generator, whose memory is then lost, and
// becomes a diagnostic. Rejected: a process of its own for each kernel.
//
//===----------------------------------------------------------------------===//

#include "coppice/Target/EmitPTX.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/NVVM/NVVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/IR/DiagnosticInfo.h"
#include "llvm/IR/DiagnosticPrinter.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/Compiler.h"
#include "llvm/Support/ErrorHandling.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/PrettyStackTrace.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Target/TargetOptions.h"
#include "llvm/TargetParser/Triple.h"
#include <csetjmp>
#include <mutex>
#include <vector>
#if LLVM_ADDRESS_SANITIZER_BUILD
#include <sanitizer/lsan_interface.h>
#endif

using namespace mlir;

namespace coppice {
namespace {

//===--- LLVM's fatal errors ----------------------------------------------===//

struct FatalError {
  std::jmp_buf jump;
  std::string message;
};
thread_local FatalError *fatalError = nullptr;

void onFatalError(void *, const char *message, bool) {
  if (!fatalError)
    return; // of another thread: LLVM goes on to end the process
  fatalError->message = message;
  std::longjmp(fatalError->jump, 1);
}

/// The handler is one for the process; it is there while any thread needs it.
class FatalErrorGuard {
public:
  explicit FatalErrorGuard(FatalError &error) {
    std::lock_guard lock(mutex);
    if (users++ == 0)
      llvm::install_fatal_error_handler(onFatalError);
    fatalError = &error;
  }
  ~FatalErrorGuard() {
    std::lock_guard lock(mutex);
    fatalError = nullptr;
    if (--users == 0)
      llvm::remove_fatal_error_handler();
  }

private:
  static inline std::mutex mutex;
  static inline unsigned users = 0;
};

/// Tells the leak sanitizer, if there is one, of the memory that is lost.
struct LeaksExpected {
#if LLVM_ADDRESS_SANITIZER_BUILD
  LeaksExpected() { __lsan_disable(); }
  ~LeaksExpected() { __lsan_enable(); }
#else
  ~LeaksExpected() {} // not trivial, so that it is not an unused variable
#endif
};

/// Runs `work`; false, with LLVM's message, where LLVM would have ended the
/// process. What `work` held by then is lost.
bool runGuarded(llvm::function_ref<void()> work, std::string &message) {
  FatalError error;
  FatalErrorGuard guard(error);
  LeaksExpected leaks;
  const void *stack = llvm::SavePrettyStackState();
  if (setjmp(error.jump) == 0) {
    work();
    return true;
  }
  llvm::RestorePrettyStackState(stack);
  message = error.message;
  return false;
}

/// Keeps for good what a code generator that was left still refers to.
template <typename... Owned> void abandon(Owned... owned) {
  static std::mutex mutex;
  static std::vector<std::tuple<Owned...>> *kept =
      new std::vector<std::tuple<Owned...>>;
  std::lock_guard lock(mutex);
  kept->emplace_back(std::move(owned)...);
}

//===--- The target -------------------------------------------------------===//

std::unique_ptr<llvm::TargetMachine>
createTargetMachine(ModuleOp kernels, const PTXOptions &options) {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeNVPTXTargetInfo();
    LLVMInitializeNVPTXTarget();
    LLVMInitializeNVPTXTargetMC();
    LLVMInitializeNVPTXAsmPrinter();
  });
  llvm::Triple triple("nvptx64-nvidia-cuda");
  std::string error;
  const llvm::Target *target =
      llvm::TargetRegistry::lookupTarget(triple, error);
  if (!target) {
    kernels.emitError() << "this LLVM has no NVPTX back end: " << error;
    return nullptr;
  }
  std::unique_ptr<llvm::MCSubtargetInfo> known(
      target->createMCSubtargetInfo(triple, "", ""));
  if (!known->isCPUStringValid(options.chip)) {
    kernels.emitError()
        << "expected a chip such as 'sm_80' or 'sm_90a', found '"
        << options.chip << "'";
    return nullptr;
  }
  // The oldest PTX of sm_80 lacks its sparse products.
  std::string features = options.features;
  if (features.empty() && options.chip == "sm_80")
    features = "+ptx71";
  return std::unique_ptr<llvm::TargetMachine>(target->createTargetMachine(
      triple, options.chip, features, llvm::TargetOptions(),
      /*RM=*/std::nullopt, /*CM=*/std::nullopt,
      llvm::CodeGenOptLevel::Aggressive));
}

/// Ops that say which chips have them. The others are LLVM's to refuse.
LogicalResult checkOps(ModuleOp kernels, StringRef chip) {
  auto has = NVVM::NVVMCheckSMVersion::getTargetSMVersionFromStr(chip);
  WalkResult walk = kernels.walk([&](Operation *op) {
    auto needs = dyn_cast<NVVM::RequiresSMInterface>(op);
    if (!needs || needs.getRequiredMinSMVersion().isCompatibleWith(has))
      return WalkResult::advance();
    InFlightDiagnostic error = op->emitError("expected a chip that has '")
                               << op->getName() << "' (";
    NVVM::NVVMCheckSMVersion wanted = needs.getRequiredMinSMVersion();
    llvm::interleaveComma(wanted.smVersionList, error, [&](int version) {
      error << "sm_" << version << (wanted.archAccelerated ? "a" : "");
    });
    error << (wanted.archAccelerated ? " only" : " or later") << "), found "
          << chip;
    return WalkResult::interrupt();
  });
  return failure(walk.wasInterrupted());
}

//===--- The passes -------------------------------------------------------===//

void optimize(llvm::Module &module, llvm::TargetMachine &machine) {
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager callGraph;
  llvm::ModuleAnalysisManager modules;
  llvm::PassBuilder builder(&machine);
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(callGraph);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, callGraph, modules);
  builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O3)
      .run(module, modules);
}

/// What the back end reports without giving up ("no libcall available", ..).
struct BackEndErrors final : llvm::DiagnosticHandler {
  std::string &text;
  explicit BackEndErrors(std::string &text) : text(text) {}

  bool handleDiagnostics(const llvm::DiagnosticInfo &diagnostic) override {
    if (diagnostic.getSeverity() != llvm::DS_Error)
      return true; // warnings and remarks are not for users of kernels
    if (!text.empty())
      text += "; ";
    llvm::raw_string_ostream stream(text);
    llvm::DiagnosticPrinterRawOStream printer(stream);
    diagnostic.print(printer);
    return true;
  }
};

/// The names of functions and variables that PTX expects elsewhere, such as
/// `.extern .func  (.param .b32 func_retval0) __nv_expf`.
llvm::SetVector<StringRef> findUnresolved(StringRef ptx) {
  llvm::SetVector<StringRef> names;
  for (StringRef rest = ptx; !rest.empty();) {
    StringRef line;
    std::tie(line, rest) = rest.split('\n');
    if (!line.consume_front(".extern "))
      continue;
    if (line.starts_with(".shared"))
      continue; // dynamic shared memory, which the launch provides
    if (line.contains('('))
      line = line.rsplit(')').second;
    StringRef name = line.rtrim(" ;\r").rsplit(' ').second;
    names.insert((name.empty() ? line : name).take_until([](char c) {
      return c == '[';
    }));
  }
  return names;
}

} // namespace

void prepareEmitPTX(MLIRContext &context) {
  registerBuiltinDialectTranslation(context);
  registerLLVMDialectTranslation(context);
  registerNVVMDialectTranslation(context);
}

FailureOr<std::string> emitPTX(ModuleOp kernels, const PTXOptions &options) {
  std::unique_ptr<llvm::TargetMachine> machine =
      createTargetMachine(kernels, options);
  if (!machine || failed(checkOps(kernels, options.chip)))
    return failure();

  prepareEmitPTX(*kernels.getContext());
  auto context = std::make_unique<llvm::LLVMContext>();
  std::unique_ptr<llvm::Module> module =
      translateModuleToLLVMIR(kernels, *context, "kernels");
  if (!module) {
    kernels.emitError("expected kernels in the LLVM and NVVM dialects");
    return failure();
  }
  module->setTargetTriple(machine->getTargetTriple());
  module->setDataLayout(machine->createDataLayout());

  std::unique_ptr<llvm::raw_fd_ostream> dump;
  if (!options.dumpLLVM.empty()) {
    std::error_code code;
    dump = std::make_unique<llvm::raw_fd_ostream>(options.dumpLLVM, code);
    if (code) {
      kernels.emitError() << "cannot write '" << options.dumpLLVM
                          << "': " << code.message();
      return failure();
    }
  }

  std::string errors, fatal;
  context->setDiagnosticHandler(std::make_unique<BackEndErrors>(errors));
  SmallString<0> ptx;
  bool emits = true;
  bool ended = runGuarded(
      [&] {
        optimize(*module, *machine);
        if (dump)
          module->print(*dump, nullptr);
        llvm::raw_svector_ostream stream(ptx);
        llvm::legacy::PassManager passes;
        emits = !machine->addPassesToEmitFile(
            passes, stream, nullptr, llvm::CodeGenFileType::AssemblyFile);
        if (emits)
          passes.run(*module);
      },
      fatal);
  if (!ended) {
    abandon(std::move(context), std::move(machine), std::move(module));
    InFlightDiagnostic diagnostic = kernels.emitError()
                                    << "LLVM has no code for a kernel on '"
                                    << options.chip << "': " << fatal;
    diagnostic.attachNote() << "it may take a later chip, or a later PTX "
                               "version ('+ptx83' among the features)";
    return diagnostic;
  }
  if (!emits) {
    kernels.emitError("this LLVM cannot emit PTX");
    return failure();
  }
  if (!errors.empty()) {
    kernels.emitError() << "LLVM cannot emit PTX for '" << options.chip
                        << "': " << errors;
    return failure();
  }

  llvm::SetVector<StringRef> unresolved = findUnresolved(ptx);
  if (!unresolved.empty()) {
    InFlightDiagnostic diagnostic =
        kernels.emitError("expected PTX that refers to nothing outside itself, "
                          "found ");
    llvm::interleaveComma(unresolved, diagnostic, [&](StringRef name) {
      diagnostic << "'" << name << "'";
    });
    if (llvm::any_of(unresolved,
                     [](StringRef name) { return name.starts_with("__nv_"); }))
      diagnostic.attachNote()
          << "functions of libdevice are not linked; lower math to "
             "intrinsics such as llvm.nvvm.ex2.approx.ftz.f";
    return failure();
  }
  return ptx.str().str();
}

} // namespace coppice
