// coppice compile P.mlir -o B.coppice: flags in, one call to the library.
#include "Commands.h"
#include "ModuleFile.h"

#include "coppice/Bundle/CompileBundle.h"
#include "coppice/Tune/TuningCache.h"

#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Path.h"

#include <CLI/CLI.hpp>

#include <chrono>
#include <memory>

using namespace coppice;

static int runCompile(const std::string &input, CompileOptions options) {
  auto start = std::chrono::steady_clock::now();
  driver::ModuleSession session;
  mlir::OwningOpRef<mlir::ModuleOp> module = session.read(input);
  if (!module)
    return 1;

  options.inputDirectory = llvm::sys::path::parent_path(input).str();
  options.talk = &llvm::errs();
  CompileSeconds parts;
  options.seconds = &parts;
  if (failed(compileToBundle(*module, options)))
    return 1;
  std::chrono::duration<double> seconds =
      std::chrono::steady_clock::now() - start;
  llvm::errs() << llvm::formatv(
      "compiled {0} to {1} in {2:f1} s (planning {3:f1}, weights {4:f1}, code "
      "{5:f1})\n",
      input, options.output, seconds.count(), parts.planning, parts.weights,
      parts.code);
  return 0;
}

void driver::addCompileCommand(CLI::App &app, int &exitCode) {
  auto input = std::make_shared<std::string>();
  auto options = std::make_shared<CompileOptions>();
  CLI::App *command = app.add_subcommand(
      "compile", "Compile a module, pruned or dense, into a bundle");
  command->add_option("module", *input, "model.mlir or pruned.mlir")
      ->required();
  command
      ->add_option("-o", options->output,
                   "the bundle to write; replaced only if it is one")
      ->required();
  command->add_option("--target", options->target,
                      "comma-separated: " + getKnownTargets() + " [cpu]");
  command->add_option(
      "--isa", options->isa,
      "comma-separated instruction sets of target cpu: avx2, "
      "avx512, avx512_bf16, amx_bf16, host (this machine's best); one file "
      "of code each [avx2 and avx512, or for bf16 models avx512_bf16, and "
      "amx_bf16 where this machine has it]");
  command
      ->add_option("--max-batch", options->maxBatch,
                   "sequences that the KV cache may hold [8]")
      ->check(CLI::Range(int64_t(1), int64_t(1) << 20));
  command
      ->add_option("--max-context", options->maxContext,
                   "tokens of each of them [the model's context]")
      ->check(CLI::Range(int64_t(1), int64_t(1) << 24));
  command
      ->add_option("--max-rows", options->maxRows,
                   "token rows in one step [4096]")
      ->check(CLI::Range(int64_t(1), int64_t(1) << 24));
  options->tuning = TuningCache::defaultPath();
  auto *tuning = command->add_option(
      "--tuning", options->tuning,
      "file of `coppice tune`; products that it does not know are blocked as "
      "the cost model says [$XDG_CACHE_HOME/coppice/tuning.jsonl]");
  command
      ->add_flag_callback(
          "--no-tuning", [options] { options->tuning.clear(); },
          "leave all choices to the cost model, as on any other machine")
      ->excludes(tuning);
  auto *oracle = command->add_flag(
      "--oracle", options->oracle,
      "compile the masks as they are written, in plain f32 "
      "loops: the meaning that fast programs are checked with");
  command
      ->add_option("--round-like", options->roundLike,
                   "with --oracle: round to 16 bits what this bundle of the "
                   "same module stores so")
      ->needs(oracle);
  command->add_flag("--taps", options->taps,
                    "fuse nothing, so that every site's value can be observed");
  command->add_flag("--allow-nan", options->allowNonFinite,
                    "take weights with NaN or Inf all the same");
  command->add_flag("--force", options->force,
                    "skip what is pruned at run time even where dense and "
                    "masked is predicted to be faster");
  command->callback(
      [=, &exitCode] { exitCode = runCompile(*input, *options); });
}
