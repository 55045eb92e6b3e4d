//===- EmitCPU.cpp - kernels in the LLVM dialect to a shared object -------===//
//
// In: a module of `llvm.func` kernels. Out: an ELF shared object.
//
// Translation, optimisation (-O3) and code generation run in this process; only
// the link is a program of its own. The optimiser is told of no library at all,
// so that it does not turn loops into calls of memset and the like, and the
// linker refuses what is still undefined: kernels import libm or nothing.
//
// No flag relaxes floating point for the whole module. What may be reassociated
// or contracted says so itself, on its operations, so fast kernels and the
// oracle's can be emitted by the same code.
//
//===----------------------------------------------------------------------===//

#include "coppice/Target/EmitCPU.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/Analysis/TargetLibraryInfo.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/SHA256.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Target/TargetOptions.h"
#include "llvm/TargetParser/Triple.h"
#include <mutex>

using namespace mlir;

namespace coppice {
namespace {

constexpr const char *kTriple = "x86_64-unknown-linux-gnu";

/// A file that is removed when it goes out of scope.
struct ScratchFile {
  SmallString<128> path;
  ~ScratchFile() {
    if (!path.empty())
      llvm::sys::fs::remove(path);
  }
};

std::unique_ptr<llvm::TargetMachine> createTargetMachine(const CPUTarget &cpu,
                                                         bool unoptimized,
                                                         std::string &error) {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
  });
  llvm::Triple triple(kTriple);
  const llvm::Target *target =
      llvm::TargetRegistry::lookupTarget(triple, error);
  if (!target)
    return nullptr;
  llvm::TargetOptions options;
  StringRef name = cpu.isa == CPUTarget::ISA::AVX2 ? "x86-64-v3" : "x86-64-v4";
  StringRef features = cpu.isa == CPUTarget::ISA::AVX512_BF16 ? "+avx512bf16"
                       : cpu.isa == CPUTarget::ISA::AMX_BF16
                           ? "+avx512bf16,+amx-tile,+amx-bf16"
                           : "";
  return std::unique_ptr<llvm::TargetMachine>(target->createTargetMachine(
      triple, name, features, options, llvm::Reloc::PIC_,
      /*CM=*/std::nullopt,
      unoptimized ? llvm::CodeGenOptLevel::None
                  : llvm::CodeGenOptLevel::Aggressive));
}

/// Says on every function which vectors it may use: the psABI levels prefer
/// 256 bits even where there are 512, and would split our registers.
void setFunctionAttributes(llvm::Module &module, const CPUTarget &cpu) {
  const char *width = cpu.isa == CPUTarget::ISA::AVX2 ? "256" : "512";
  for (llvm::Function &function : module) {
    if (function.isDeclaration())
      continue;
    function.addFnAttr("prefer-vector-width", width);
    function.addFnAttr("min-legal-vector-width", width);
    function.addFnAttr(llvm::Attribute::NoUnwind);
    function.addFnAttr(llvm::Attribute::WillReturn);
  }
}

void optimize(llvm::Module &module, llvm::TargetMachine &machine) {
  llvm::PipelineTuningOptions tuning;
  tuning.LoopVectorization = true;
  tuning.SLPVectorization = true;
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager callGraph;
  llvm::ModuleAnalysisManager modules;
  llvm::PassBuilder builder(&machine, tuning);
  functions.registerPass([&] {
    llvm::TargetLibraryInfoImpl library(machine.getTargetTriple());
    library.disableAllFunctions();
    return llvm::TargetLibraryAnalysis(library);
  });
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(callGraph);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, callGraph, modules);
  builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O3)
      .run(module, modules);
}

FailureOr<std::string> findLinker(ModuleOp kernels, StringRef wanted) {
  SmallVector<StringRef> names = {"ld.lld-22", "ld.lld", "ld"};
  if (!wanted.empty())
    names = {wanted};
  for (StringRef name : names)
    if (llvm::ErrorOr<std::string> found = llvm::sys::findProgramByName(name))
      return *found;
  InFlightDiagnostic diagnostic =
      kernels.emitError("found no linker: expected ");
  llvm::interleave(
      names, [&](StringRef name) { diagnostic << "'" << name << "'"; },
      [&] { diagnostic << " or "; });
  diagnostic << " in PATH";
  diagnostic.attachNote() << "install lld or binutils";
  return failure();
}

LogicalResult writeScratch(ModuleOp kernels, ScratchFile &file,
                           StringRef bytes) {
  int descriptor;
  if (std::error_code code = llvm::sys::fs::createTemporaryFile(
          "coppice-kernels", "o", descriptor, file.path))
    return kernels.emitError()
           << "cannot make a temporary file (TMPDIR says where): "
           << code.message();
  llvm::raw_fd_ostream stream(descriptor, /*shouldClose=*/true);
  stream << bytes;
  stream.flush();
  if (!stream.has_error())
    return success();
  std::string message = stream.error().message();
  stream.clear_error();
  return kernels.emitError()
         << "cannot write '" << file.path << "': " << message;
}

/// The shared libm of this machine. It is passed by path, so that linking needs
/// no development files; the result records the name libm.so.6 only.
std::string findLibm() {
  for (const char *folder :
       {"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64",
        "/usr/lib64", "/lib", "/usr/lib"}) {
    std::string path = std::string(folder) + "/libm.so.6";
    if (llvm::sys::fs::exists(path))
      return path;
  }
  return {};
}

LogicalResult link(ModuleOp kernels, StringRef linker,
                   ArrayRef<ScratchFile> objects, StringRef output) {
  std::string libm = findLibm();
  SmallVector<StringRef> args = {linker,
                                 "-shared",
                                 "--no-undefined",
                                 "--build-id=none",
                                 "--gc-sections",
                                 "-z",
                                 "noexecstack",
                                 "-z",
                                 "now",
                                 "--as-needed",
                                 "-o",
                                 output};
  for (const ScratchFile &object : objects)
    args.push_back(object.path);
  if (!libm.empty())
    args.push_back(libm);

  ScratchFile log;
  if (std::error_code code =
          llvm::sys::fs::createTemporaryFile("coppice-link", "log", log.path))
    return kernels.emitError()
           << "cannot make a temporary file (TMPDIR says where): "
           << code.message();
  std::string message;
  int status = llvm::sys::ExecuteAndWait(
      linker, args, /*Env=*/std::nullopt,
      {std::nullopt, StringRef(log.path), StringRef(log.path)},
      /*SecondsToWait=*/0, /*MemoryLimit=*/0, &message);
  if (status == 0)
    return success();
  InFlightDiagnostic diagnostic =
      kernels.emitError() << "linking kernels with '" << linker << "' failed";
  if (!message.empty())
    diagnostic << ": " << message;
  if (auto text = llvm::MemoryBuffer::getFile(log.path))
    diagnostic << ": " << (*text)->getBuffer().take_front(1000).trim();
  return failure();
}

FailureOr<EmittedTarget> describe(ModuleOp kernels, StringRef path,
                                  const CPUTarget &cpu) {
  auto file = llvm::MemoryBuffer::getFile(path, /*IsText=*/false,
                                          /*RequiresNullTerminator=*/false);
  if (!file) {
    kernels.emitError() << "cannot read '" << path
                        << "' back: " << file.getError().message();
    return failure();
  }
  StringRef bytes = (*file)->getBuffer();
  EmittedTarget result;
  result.sha256 = llvm::toHex(
      llvm::SHA256::hash(ArrayRef<uint8_t>(
          reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size())),
      /*LowerCase=*/true);
  result.bytes = bytes.size();
  for (StringRef name : cpu.requirements())
    result.requires_.push_back(name.str());
  return result;
}

} // namespace

void prepareEmitCPU(MLIRContext &context) {
  registerBuiltinDialectTranslation(context);
  registerLLVMDialectTranslation(context);
}

FailureOr<ObjectCode> compileObject(ModuleOp kernels,
                                    const CPUTargetOptions &options) {
  std::string error;
  std::unique_ptr<llvm::TargetMachine> machine =
      createTargetMachine(options.target, options.unoptimized, error);
  if (!machine) {
    kernels.emitError() << "this LLVM has no x86-64 back end: " << error;
    return failure();
  }

  prepareEmitCPU(*kernels.getContext());
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> module =
      translateModuleToLLVMIR(kernels, context, "kernels");
  if (!module) {
    kernels.emitError("expected kernels in the LLVM dialect; run "
                      "'codegen-cpu' first");
    return failure();
  }
  module->setTargetTriple(machine->getTargetTriple());
  module->setDataLayout(machine->createDataLayout());
  setFunctionAttributes(*module, options.target);
  if (!options.unoptimized)
    optimize(*module, *machine);

  if (!options.dumpLLVM.empty()) {
    std::error_code code;
    llvm::raw_fd_ostream dump(options.dumpLLVM, code);
    if (code) {
      kernels.emitError() << "cannot write '" << options.dumpLLVM
                          << "': " << code.message();
      return failure();
    }
    module->print(dump, nullptr);
  }

  ObjectCode object;
  llvm::raw_svector_ostream stream(object);
  llvm::legacy::PassManager passes;
  if (machine->addPassesToEmitFile(passes, stream, nullptr,
                                   llvm::CodeGenFileType::ObjectFile)) {
    kernels.emitError("this LLVM cannot emit x86-64 object files");
    return failure();
  }
  passes.run(*module);
  return object;
}

FailureOr<EmittedTarget> linkCPU(ModuleOp kernels, ArrayRef<ObjectCode> objects,
                                 StringRef path,
                                 const CPUTargetOptions &options) {
  FailureOr<std::string> linker = findLinker(kernels, options.linker);
  if (failed(linker))
    return failure();
  std::vector<ScratchFile> files(objects.size());
  for (auto [file, object] : llvm::zip_equal(files, objects))
    if (failed(writeScratch(kernels, file, object.str())))
      return failure();

  // Link beside the destination and rename: readers see all of it or nothing.
  ScratchFile linked;
  linked.path = path;
  linked.path += ".partial";
  if (failed(link(kernels, *linker, files, linked.path)))
    return failure();
  if (std::error_code code = llvm::sys::fs::rename(linked.path, path)) {
    kernels.emitError() << "cannot write '" << path << "': " << code.message();
    return failure();
  }
  linked.path.clear();
  return describe(kernels, path, options.target);
}

FailureOr<EmittedTarget> emitCPU(ModuleOp kernels, StringRef path,
                                 const CPUTargetOptions &options) {
  FailureOr<ObjectCode> object = compileObject(kernels, options);
  if (failed(object))
    return failure();
  return linkCPU(kernels, *object, path, options);
}

} // namespace coppice
