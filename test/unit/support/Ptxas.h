//===- Ptxas.h - does PTX assemble, and into what ---------------*- C++ -*-===//

#ifndef COPPICE_TEST_UNIT_SUPPORT_PTXAS_H
#define COPPICE_TEST_UNIT_SUPPORT_PTXAS_H

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/raw_ostream.h"
#include <optional>
#include <string>

namespace coppice {

/// What `ptxas -v` says of PTX for a chip, "failed: .." where it does not
/// assemble, and nothing where there is no ptxas in PATH.
inline std::optional<std::string> runPtxas(llvm::StringRef ptx,
                                           llvm::StringRef chip) {
  llvm::ErrorOr<std::string> ptxas = llvm::sys::findProgramByName("ptxas");
  if (!ptxas)
    return std::nullopt;
  llvm::SmallString<128> folder;
  if (llvm::sys::fs::createUniqueDirectory("coppice-ptxas", folder))
    return "failed: no temporary folder";
  std::string source = (folder + "/kernels.ptx").str();
  std::string object = (folder + "/kernels.cubin").str();
  std::string log = (folder + "/log").str();
  std::error_code code;
  llvm::raw_fd_ostream(source, code) << ptx;
  int status = llvm::sys::ExecuteAndWait(
      *ptxas, {*ptxas, "-v", ("-arch=" + chip).str(), source, "-o", object},
      /*Env=*/std::nullopt,
      {std::nullopt, llvm::StringRef(log), llvm::StringRef(log)});
  std::string text = status == 0 ? "" : "failed: ";
  if (auto file = llvm::MemoryBuffer::getFile(log))
    text += (*file)->getBuffer();
  llvm::sys::fs::remove_directories(folder);
  return text;
}

} // namespace coppice

#endif // COPPICE_TEST_UNIT_SUPPORT_PTXAS_H
