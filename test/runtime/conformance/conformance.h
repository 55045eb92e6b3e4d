// The conformance suite: what every device must do, whatever runs its kernels.
// Each test is parameterised by the name of a target of the toy bundle.
#ifndef COPPICE_TEST_RUNTIME_CONFORMANCE_CONFORMANCE_H
#define COPPICE_TEST_RUNTIME_CONFORMANCE_CONFORMANCE_H

#include "coppice/runtime.h"
#include "temporary_directory.h"
#include "toy_bundle.h"

#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <vector>

namespace coppice::rt::test {

// Rows of a step as the tests write them.
struct Row {
  int32_t token, slot, position;
};

class Conformance : public testing::TestWithParam<const char *> {
protected:
  // Writes the bundle and opens a session on it; both must succeed.
  void open(coppice_session_options options = {}, const ToyOptions &toy = {},
            const std::function<void(nlohmann::json &)> &edit = nullptr);

  // Writes the bundle and tries to; expects this code, and each of `parts` in
  // the message.
  void expectRefused(coppice_status code, const std::vector<std::string> &parts,
                     const std::function<void(nlohmann::json &)> &edit,
                     const ToyOptions &toy = {});
  // As above, with files that have been damaged after writing.
  void expectRefusedAsIs(coppice_status code,
                         const std::vector<std::string> &parts);

  coppice_status run(const std::vector<Row> &rows,
                     const std::vector<int32_t> &heads,
                     std::vector<float> &logits,
                     const int8_t *routes = nullptr);
  // Runs rows of which the last is a head; the logits of that.
  std::vector<float> logitsOf(const std::vector<Row> &rows);
  // Feeds tokens to a slot from a position on; logits of the last.
  std::vector<float> feed(const std::vector<int32_t> &tokens, int32_t slot,
                          int32_t position);

  struct Close {
    void operator()(coppice_bundle *bundle) const {
      coppice_bundle_close(bundle);
    }
    void operator()(coppice_session *session) const {
      coppice_session_destroy(session);
    }
  };
  TemporaryDirectory directory;
  std::unique_ptr<coppice_bundle, Close> bundle;
  std::unique_ptr<coppice_session, Close> session;
  ToyOptions toyOptions;
};

} // namespace coppice::rt::test

#endif
