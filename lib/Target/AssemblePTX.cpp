//===- AssemblePTX.cpp - PTX to a cubin, and what its kernels take --------===//

#include "coppice/Target/AssemblePTX.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/raw_ostream.h"

using llvm::StringRef;

namespace coppice {

std::optional<std::string> findPtxas() {
  if (const char *path = std::getenv("COPPICE_PTXAS"))
    return path;
  llvm::ErrorOr<std::string> found = llvm::sys::findProgramByName("ptxas");
  if (!found)
    return std::nullopt;
  return *found;
}

/// The number before `words` in `line`; 0 where they are not there.
static int64_t numberBefore(StringRef line, StringRef words) {
  size_t end = line.find(words);
  if (end == StringRef::npos)
    return 0;
  StringRef before = line.take_front(end).rtrim();
  size_t begin = before.find_last_not_of("0123456789");
  int64_t number = 0;
  before.drop_front(begin == StringRef::npos ? 0 : begin + 1)
      .getAsInteger(10, number);
  return number;
}

// ptxas info    : Compiling entry function 'k' for 'sm_80'
// ptxas info    : Function properties for k
//     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
// ptxas info    : Used 6 registers, used 0 barriers, 48 bytes smem
llvm::StringMap<KernelResources> parseResources(StringRef report) {
  llvm::StringMap<KernelResources> kernels;
  KernelResources *kernel = nullptr;
  for (StringRef line : llvm::split(report, '\n')) {
    if (line.contains("Compiling entry function")) {
      StringRef name = line.split('\'').second.split('\'').first;
      kernel = &kernels[name];
    } else if (kernel && line.contains("bytes stack frame")) {
      kernel->stackBytes = numberBefore(line, " bytes stack frame");
      kernel->spillBytes = numberBefore(line, " bytes spill stores") +
                           numberBefore(line, " bytes spill loads");
    } else if (kernel && line.contains("Used ")) {
      kernel->registers = numberBefore(line, " registers");
      kernel->sharedBytes = numberBefore(line, " bytes smem");
    }
  }
  return kernels;
}

static std::string linesWith(StringRef report, StringRef word) {
  std::string lines;
  for (StringRef line : llvm::split(report, '\n'))
    if (line.contains(word))
      lines += line.str() + "\n";
  return lines;
}

llvm::Expected<AssembledPTX> assemblePTX(StringRef ptxas, StringRef ptx,
                                         StringRef chip) {
  llvm::SmallString<128> folder;
  if (std::error_code code =
          llvm::sys::fs::createUniqueDirectory("coppice-ptxas", folder))
    return llvm::createStringError(code, "cannot make a temporary folder");
  auto remove =
      llvm::scope_exit([&] { llvm::sys::fs::remove_directories(folder); });
  std::string source = (folder + "/kernels.ptx").str(),
              object = (folder + "/kernels.cubin").str(),
              log = (folder + "/log").str();
  std::error_code code;
  {
    llvm::raw_fd_ostream stream(source, code);
    if (!code)
      stream << ptx;
    stream.close();
    if (stream.has_error()) {
      code = stream.error();
      stream.clear_error();
    }
    if (code)
      return llvm::createStringError(code, "cannot write " + source + ": " +
                                               code.message());
  }
  std::string message;
  int status = llvm::sys::ExecuteAndWait(
      ptxas, {ptxas, "-v", ("-arch=" + chip).str(), source, "-o", object},
      /*Env=*/std::nullopt, {std::nullopt, StringRef(log), StringRef(log)},
      /*SecondsToWait=*/0, /*MemoryLimit=*/0, &message);
  if (auto file = llvm::MemoryBuffer::getFile(log))
    message += (*file)->getBuffer();
  if (status != 0)
    return llvm::createStringError(ptxas + " fails for " + chip + ": " +
                                   StringRef(message).rtrim());
  auto cubin = llvm::MemoryBuffer::getFile(object, /*IsText=*/false,
                                           /*RequiresNullTerminator=*/false);
  if (!cubin)
    return llvm::createStringError(cubin.getError(), "cannot read " + object);
  return AssembledPTX{(*cubin)->getBuffer().str(), parseResources(message),
                      linesWith(message, "warning")};
}

} // namespace coppice
