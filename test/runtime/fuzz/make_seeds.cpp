// make_seeds DIRECTORY: writes the toy bundle there, and from it one sound
// input for each fuzz target, so that mutation starts from something that
// parses.
#include "runtime/costmodel/machine.h"
#include "temporary_directory.h"
#include "toy_bundle.h"

#include <cstdint>
#include <filesystem>
#include <iostream>

// 4 bytes of the longest piece, then score, length and text of each: control
// ids, bytes, and pieces of which some merge.
static std::string tokenizerFile() {
  auto word = [](auto value) {
    return std::string(reinterpret_cast<const char *>(&value), sizeof(value));
  };
  std::string file = word(uint32_t(8));
  auto add = [&](const std::string &text, float score) {
    file += word(score) + word(uint32_t(text.size())) + text;
  };
  for (const char *control : {"<unk>", "<s>", "</s>"})
    add(control, 0);
  for (int byte = 0; byte < 256; ++byte)
    add("<0x00>", 0);
  float score = 0;
  for (const char *piece : {" ", "a", "b", "ab", " ab", "abab"})
    add(piece, --score);
  return file;
}

static std::string machineFile() {
  coppice::rt::Machine machine;
  machine.cacheBytes = 1 << 20;
  for (int threads : {1, 2}) {
    coppice::rt::Ceilings ceilings;
    ceilings.threads = threads;
    ceilings.best = {threads * 1e9, threads * 2e9, threads * 5e8, 3e9};
    ceilings.typical = ceilings.best;
    ceilings.cacheRead[coppice::rt::cacheLevels - 1] = 6e9;
    ceilings.dispatchSeconds = 1e-6;
    machine.ceilings.push_back(ceilings);
  }
  machine.caches[coppice::rt::cacheLevels - 1] = {1 << 20, true};
  machine.setCurve({{"gemm", "f32", "f32", "avx2", 1},
                    "measured: here",
                    {{1, 64, 0.5, 1e-6}, {8, 64, 0.75, -1}}});
  return machine.json();
}

int main(int argc, char **argv) {
  namespace fs = std::filesystem;
  if (argc != 2) {
    std::cerr << "usage: make_seeds DIRECTORY\n";
    return 2;
  }
  fs::path root = argv[1];
  fs::path bundle = root / "toy.coppice";
  coppice::rt::test::writeToyBundle(bundle.string());
  auto seed = [&](const char *target, const char *file) {
    fs::create_directories(root / target);
    fs::copy_file(bundle / file, root / target / file,
                  fs::copy_options::overwrite_existing);
  };
  seed("fuzz-program", "program.json");
  coppice::rt::test::ToyOptions routed;
  routed.routed = true;
  coppice::rt::test::writeToyBundle((root / "routed.coppice").string(), routed);
  fs::copy_file(root / "routed.coppice/program.json",
                root / "fuzz-program/routed.json",
                fs::copy_options::overwrite_existing);
  seed("fuzz-safetensors", "weights.safetensors");
  fs::create_directories(root / "fuzz-tokenizer");
  coppice::rt::test::writeBytes(
      (root / "fuzz-tokenizer/tokenizer.bin").string(), tokenizerFile());
  for (const char *name : {"llama3", "qwen", "llama2", "mistral", "gpt2"}) {
    fs::create_directories(root / "fuzz-huggingface-tokenizer");
    coppice::rt::test::writeBytes(
        (root / "fuzz-huggingface-tokenizer" / name).string(),
        " It's 12 <s>\u00E9\u0301\U0001F333\t\n" +
            coppice::rt::test::readBytes(COPPICE_TOKENIZERS "/" +
                                         std::string(name) + ".json"));
  }
  fs::create_directories(root / "fuzz-split-pattern");
  coppice::rt::test::writeBytes(
      (root / "fuzz-split-pattern/llama3").string(),
      "It'S  12 \t\u00E9!\n"
      R"((?i:'s|'t|'re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|)"
      R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)");
  fs::create_directories(root / "fuzz-machine");
  coppice::rt::test::writeBytes((root / "fuzz-machine/machine.json").string(),
                                machineFile());
}
