// coppice export P.mlir -o DIR: flags in, one call to the library.
#include "Commands.h"
#include "ModuleFile.h"

#include "coppice/Export/Export.h"

#include "llvm/Support/Path.h"

#include <CLI/CLI.hpp>

#include <memory>

using namespace coppice;

static int runExport(const std::string &input, ExportOptions options) {
  driver::ModuleSession session;
  mlir::OwningOpRef<mlir::ModuleOp> module = session.read(input);
  if (!module)
    return 1;
  options.inputDirectory = llvm::sys::path::parent_path(input).str();
  options.talk = &llvm::errs();
  return failed(exportCheckpoint(*module, options)) ? 1 : 0;
}

void driver::addExportCommand(CLI::App &app, int &exitCode) {
  auto input = std::make_shared<std::string>();
  auto options = std::make_shared<ExportOptions>();
  CLI::App *command = app.add_subcommand(
      "export", "Write what is left of a model as a Hugging Face checkpoint");
  command->add_option("module", *input, "model.mlir or pruned.mlir")
      ->required();
  command
      ->add_option("-o", options->output,
                   "the directory to write; replaced only if it is an exported "
                   "checkpoint")
      ->required();
  command
      ->add_option("--max-shard-bytes", options->maxShardBytes,
                   "split weights into files of at most so many bytes "
                   "[5000000000]")
      ->check(CLI::Range(int64_t(1), int64_t(1) << 60));
  auto layout = std::make_shared<std::string>("zeros");
  command
      ->add_option(
          "--nm-layout", *layout,
          "how N:M weights are stored: zeros, which any tool reads, or "
          "compressed-tensors, that library's sparse-24-bitmask for "
          "those that are 2:4 [zeros]")
      ->check(CLI::IsMember({"zeros", "compressed-tensors"}));
  command->callback([=, &exitCode] {
    if (*layout == "compressed-tensors")
      options->patternLayout = PatternLayout::CompressedTensors;
    exitCode = runExport(*input, *options);
  });
}
