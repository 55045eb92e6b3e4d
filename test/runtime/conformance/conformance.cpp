#include "conformance.h"

namespace coppice::rt::test {

// The GPU is one that only pretends: fake_cuda.c.
INSTANTIATE_TEST_SUITE_P(Device, Conformance,
                         testing::Values("cpu", "cuda:sm_80"));

void Conformance::open(coppice_session_options options, const ToyOptions &toy,
                       const std::function<void(nlohmann::json &)> &edit) {
  session.reset();
  bundle.reset();
  toyOptions = toy;
  toyOptions.target = GetParam();
  writeToyBundle(directory / "toy.coppice", toyOptions, edit);
  coppice_bundle *openedBundle = nullptr;
  ASSERT_EQ(
      coppice_bundle_open((directory / "toy.coppice").c_str(), &openedBundle),
      COPPICE_OK)
      << coppice_last_error();
  bundle.reset(openedBundle);
  options.struct_size = sizeof(options);
  options.target = GetParam();
  setenv("COPPICE_LIBCUDA", COPPICE_FAKE_CUDA, 1);
  coppice_session *opened = nullptr;
  ASSERT_EQ(coppice_session_create(bundle.get(), &options, &opened), COPPICE_OK)
      << coppice_last_error();
  session.reset(opened);
}

void Conformance::expectRefused(
    coppice_status code, const std::vector<std::string> &parts,
    const std::function<void(nlohmann::json &)> &edit, const ToyOptions &toy) {
  writeToyBundle(directory / "toy.coppice", toy, edit);
  expectRefusedAsIs(code, parts);
}

void Conformance::expectRefusedAsIs(coppice_status code,
                                    const std::vector<std::string> &parts) {
  coppice_bundle *openedBundle = nullptr;
  coppice_status status =
      coppice_bundle_open((directory / "toy.coppice").c_str(), &openedBundle);
  bundle.reset(openedBundle);
  coppice_session *opened = nullptr;
  if (status == COPPICE_OK)
    status = coppice_session_create(bundle.get(), nullptr, &opened);
  session.reset(opened);
  std::string message = coppice_last_error();
  EXPECT_EQ(status, code) << message;
  for (const std::string &part : parts)
    EXPECT_NE(message.find(part), std::string::npos)
        << "'" << part << "' is not in: " << message;
  session.reset();
  bundle.reset();
}

coppice_status Conformance::run(const std::vector<Row> &rows,
                                const std::vector<int32_t> &heads,
                                std::vector<float> &logits,
                                const int8_t *routes) {
  std::vector<int32_t> tokens, slots, positions;
  for (const Row &row : rows) {
    tokens.push_back(row.token);
    slots.push_back(row.slot);
    positions.push_back(row.position);
  }
  coppice_step step = {
      sizeof(step),     int64_t(rows.size()),  tokens.data(), slots.data(),
      positions.data(), int64_t(heads.size()), heads.data(),  routes};
  logits.assign(heads.size() * size_t(toyOptions.vocabulary), -12345.0f);
  return coppice_session_step(session.get(), &step, logits.data());
}

std::vector<float> Conformance::logitsOf(const std::vector<Row> &rows) {
  std::vector<float> logits;
  EXPECT_EQ(run(rows, {int32_t(rows.size()) - 1}, logits), COPPICE_OK)
      << coppice_last_error();
  return logits;
}

std::vector<float> Conformance::feed(const std::vector<int32_t> &tokens,
                                     int32_t slot, int32_t position) {
  std::vector<Row> rows;
  for (int32_t token : tokens)
    rows.push_back({token, slot, position++});
  return logitsOf(rows);
}

} // namespace coppice::rt::test
