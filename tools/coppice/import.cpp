// coppice import SRC -o M.mlir: flags in, one call to the library.
#include "Commands.h"

#include "coppice/Import/Import.h"
#include "tools/coppice-run/seed_check.h"

#include <CLI/CLI.hpp>

#include <memory>

using namespace coppice;

void driver::addImportCommand(CLI::App &app, int &exitCode) {
  auto options = std::make_shared<ImportOptions>();
  auto dtype = std::make_shared<std::string>("auto");
  CLI::App *command = app.add_subcommand(
      "import", "Bring a model in: write its module and, where needed, its "
                "weights");
  command
      ->add_option("source", options->source,
                   "a Hugging Face directory, a llama2.c .bin, or preset:NAME "
                   "(demo, tiny, llama-3.2-1b, llama-3.1-8b, qwen2.5-0.5b, ..)")
      ->required();
  command->add_option("-o", options->output, "the module to write")->required();
  command->add_option("--tokenizer", options->tokenizer,
                      "tokenizer.json or llama2.c's tokenizer.bin, for text "
                      "in and out [a directory's own tokenizer.json]");
  command->add_flag("--no-tokenizer", options->withoutTokenizer,
                    "leave a directory's tokenizer.json alone");
  command->add_option(
      "--weights-out", options->weightsOutput,
      "where weights go that must be written [M.safetensors beside M.mlir]");
  command
      ->add_option("--dtype", *dtype,
                   "type to store weights and KV caches in [auto: the "
                   "source's; bf16 for presets]")
      ->check(CLI::IsMember({"auto", "f32", "f16", "bf16"}));
  command
      ->add_option("--seed", options->seed,
                   "seed of a preset's generated weights [0]")
      ->check(rt::seedCheck());
  command->add_flag("--allow-nan", options->allowNonFinite,
                    "import weights with NaN or Inf all the same");
  command->add_flag("--no-patterns", options->withoutPatterns,
                    "take weights that the source says have N:M sparsity as "
                    "dense ones with zeros");
  command->callback([=, &exitCode] {
    if (*dtype != "auto")
      options->dtype = rt::dtypeNamed(*dtype);
    rt::Status status = importModel(*options, llvm::errs());
    if (!status.ok())
      llvm::errs() << "coppice: error: " << status.message() << "\n";
    exitCode = status.ok() ? 0 : 1;
  });
}
