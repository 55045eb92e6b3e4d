// See model_peer.h.
#include "benchmarks/peers/model_peer.h"

#include "runtime/base/concat.h"
#include "runtime/base/json.h"

#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace coppice::bench {

using rt::concat;
using rt::Result;

Result<std::unique_ptr<ModelPeer>> ModelPeer::start(const std::string &command,
                                                    int threads) {
  // A peer that has died shows as the end of its answers.
  std::signal(SIGPIPE, SIG_IGN);
  int in[2], out[2];
  if (pipe2(in, O_CLOEXEC) != 0)
    return rt::ioError(concat("pipe: ", std::strerror(errno)));
  if (pipe2(out, O_CLOEXEC) != 0) {
    close(in[0]);
    close(in[1]);
    return rt::ioError(concat("pipe: ", std::strerror(errno)));
  }
  pid_t process = fork();
  if (process == 0) {
    dup2(in[0], STDIN_FILENO);
    dup2(out[1], STDOUT_FILENO);
    execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
    _exit(127);
  }
  close(in[0]);
  close(out[1]);
  std::unique_ptr<ModelPeer> peer(new ModelPeer);
  peer->process = process;
  peer->requests = fdopen(in[1], "w");
  peer->answers = fdopen(out[0], "r");
  if (process < 0)
    return rt::ioError(concat("fork: ", std::strerror(errno)));

  Result<std::string> answer = peer->ask(concat("open ", threads));
  if (!answer)
    return answer.status();
  Result<rt::Json> facts = rt::parseJson(*answer);
  auto text = [&](const char *key) {
    auto found = facts->find(key);
    return found != facts->end() && found->is_string()
               ? found->get<std::string>()
               : std::string();
  };
  if (facts && facts->is_object()) {
    peer->name = text("name");
    peer->version = text("version");
    peer->detail = text("detail");
  }
  if (peer->name.empty())
    return rt::invalidArgument(concat("peer '", command,
                                      "': expected an object with its name "
                                      "and version, found '",
                                      *answer, "'"));
  return peer;
}

ModelPeer::~ModelPeer() {
  if (requests)
    std::fclose(requests);
  if (answers)
    std::fclose(answers);
  if (process > 0)
    waitpid(process, nullptr, 0);
}

Result<std::string> ModelPeer::ask(const std::string &request) {
  std::fprintf(requests, "%s\n", request.c_str());
  // One who answered and went before reading has still answered: whether the
  // request was taken does not matter.
  std::fflush(requests);
  char *line = nullptr;
  size_t capacity = 0;
  ssize_t length = getline(&line, &capacity, answers);
  std::string answer = length > 0 ? std::string(line, size_t(length)) : "";
  std::free(line);
  while (!answer.empty() && answer.back() == '\n')
    answer.pop_back();
  if (length <= 0)
    return rt::ioError(
        concat("peer: expected an answer to '", request, "', found its end"));
  return answer;
}

Result<double> ModelPeer::time(const std::string &phase, int64_t tokens) {
  Result<std::string> answer = ask(concat(phase, " ", tokens));
  if (!answer)
    return answer.status();
  char *end = nullptr;
  double seconds = std::strtod(answer->c_str(), &end);
  if (*end || answer->empty() || !std::isfinite(seconds) || seconds <= 0)
    return rt::invalidArgument(
        concat("peer: expected seconds as the answer to '", phase, " ", tokens,
               "', found '", *answer, "'"));
  return seconds;
}

} // namespace coppice::bench
