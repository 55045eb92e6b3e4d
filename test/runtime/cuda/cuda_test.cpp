// What the CUDA device refuses, with a driver that only pretends (fake_cuda.c).
// What it does is in the conformance suite.
#include "coppice/runtime.h"
#include "temporary_directory.h"
#include "toy_bundle.h"

#include <gtest/gtest.h>

namespace coppice::rt::test {
namespace {

class Cuda : public testing::Test {
protected:
  Cuda() {
    setenv("COPPICE_LIBCUDA", COPPICE_FAKE_CUDA, 1);
    set("FAKE_CUDA_CAPABILITY", nullptr);
    set("FAKE_CUDA_DEVICES", nullptr);
  }

  static void set(const char *variable, const char *value) {
    if (value)
      setenv(variable, value, 1);
    else
      unsetenv(variable);
  }

  // A session on the toy bundle as it is after `edit`.
  coppice_status create(const std::function<void(nlohmann::json &)> &edit,
                        const char *target = "cuda:sm_80") {
    ToyOptions toy;
    toy.target = target;
    writeToyBundle(directory / "toy.coppice", toy, edit);
    coppice_bundle *bundle = nullptr;
    coppice_status status =
        coppice_bundle_open((directory / "toy.coppice").c_str(), &bundle);
    coppice_session *session = nullptr;
    if (status == COPPICE_OK)
      status = coppice_session_create(bundle, nullptr, &session);
    coppice_session_destroy(session);
    coppice_bundle_close(bundle);
    return status;
  }

  void expectMessage(const std::vector<std::string> &words) {
    for (const std::string &word : words)
      EXPECT_NE(std::string(coppice_last_error()).find(word), std::string::npos)
          << "'" << word << "' is not in: " << coppice_last_error();
  }

  TemporaryDirectory directory;
};

TEST_F(Cuda, CodeForAnOlderGpuRuns) {
  set("FAKE_CUDA_CAPABILITY", "90");
  EXPECT_EQ(create(nullptr), COPPICE_OK) << coppice_last_error();
}

TEST_F(Cuda, CodeForANewerGpuIsRefused) {
  set("FAKE_CUDA_CAPABILITY", "75");
  EXPECT_EQ(create(nullptr), COPPICE_UNSUPPORTED);
  expectMessage({"'cuda:sm_80' needs compute capability 8.0",
                 "found Fake GPU with 7.5", "no code for GPUs before 8.0"});
}

TEST_F(Cuda, CodeForOneChipRunsOnThatOnly) {
  set("FAKE_CUDA_CAPABILITY", "90");
  EXPECT_EQ(create(nullptr, "cuda:sm_90a"), COPPICE_OK) << coppice_last_error();
  set("FAKE_CUDA_CAPABILITY", "100");
  EXPECT_EQ(create(nullptr, "cuda:sm_90a"), COPPICE_UNSUPPORTED);
  expectMessage({"needs compute capability 9.0 exactly", "10.0"});
}

TEST_F(Cuda, ACubinRunsOnItsGenerationOnly) {
  auto cubin = [](nlohmann::json &program) {
    program["targets"][0]["requires"] = {"cubin"};
  };
  set("FAKE_CUDA_CAPABILITY", "86");
  EXPECT_EQ(create(cubin), COPPICE_OK) << coppice_last_error();
  set("FAKE_CUDA_CAPABILITY", "90");
  EXPECT_EQ(create(cubin), COPPICE_UNSUPPORTED);
  expectMessage({"compute capability 8.0, of that generation, found"});
}

TEST_F(Cuda, AMachineWithoutGpusIsToldSo) {
  set("FAKE_CUDA_DEVICES", "0");
  EXPECT_EQ(create(nullptr), COPPICE_UNSUPPORTED);
  expectMessage({"'cuda:sm_80' needs a GPU, found none"});
}

TEST_F(Cuda, TargetsThatAreNoChipsAreRefused) {
  for (const char *target : {"cuda:", "cuda:sm_", "cuda:sm_80x", "cuda:80"}) {
    EXPECT_EQ(create(nullptr, target), COPPICE_UNSUPPORTED) << target;
    expectMessage({"expected a target like 'cuda:sm_80', found", target});
  }
}

TEST_F(Cuda, KernelsNeedShapesThatTheGpuHas) {
  auto lookup = [](nlohmann::json &program) -> nlohmann::json & {
    return program["targets"][0]["kernels"]["toy_lookup"];
  };
  EXPECT_EQ(
      create([&](auto &program) { lookup(program)["shared_bytes"] = 200000; }),
      COPPICE_UNSUPPORTED);
  expectMessage({"kernel 'toy_lookup': expected at most 166912 bytes of shared "
                 "memory, which this GPU has, found 200000"});
  // A kernel that the code lacks.
  EXPECT_EQ(create([](auto &program) {
              program["targets"][0]["kernels"]["toy_nothing"] = {
                  {"threads", 96}, {"shared_bytes", 0}};
              program["dispatches"][0]["variants"][0]["stages"][0]["kernel"] =
                  "toy_nothing";
            }),
            COPPICE_INVALID_FILE);
  expectMessage({"kernel 'toy_nothing'", "CUDA_ERROR_NOT_FOUND"});
  EXPECT_EQ(create([&](auto &program) { lookup(program)["threads"] = 1025; }),
            COPPICE_INVALID_FILE);
  expectMessage({"threads"});
  EXPECT_EQ(create([](auto &program) {
              program["targets"][0]["kernels"].erase("toy_lookup");
            }),
            COPPICE_INVALID_FILE);
  expectMessage({"expected kernel 'toy_lookup' among the kernels of target "
                 "'cuda:sm_80', found none"});
  EXPECT_EQ(
      create([](auto &program) { program["targets"][0].erase("kernels"); }),
      COPPICE_INVALID_FILE);
  expectMessage({"kernel 'toy_lookup': expected 'threads'"});
}

TEST_F(Cuda, MemoryThatIsNotThereIsAnError) {
  EXPECT_EQ(create([](auto &program) {
              program["arena"] = {"+", program["arena"], int64_t(1) << 40};
            }),
            COPPICE_OUT_OF_MEMORY);
  expectMessage({"arena", "CUDA_ERROR_OUT_OF_MEMORY", "bytes"});
}

} // namespace
} // namespace coppice::rt::test
