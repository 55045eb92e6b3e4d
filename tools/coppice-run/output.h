// Where subcommands write: records, and progress on a terminal.
#ifndef COPPICE_TOOLS_COPPICE_RUN_OUTPUT_H
#define COPPICE_TOOLS_COPPICE_RUN_OUTPUT_H

#include "runtime/base/status.h"

#include <string>

namespace coppice::rt {

/// Appends `line` and a line end to the file `path`; "-" is stdout.
Status appendLine(const std::string &path, const std::string &line);

/// Says early, and without making the file, that appendLine() will fail: for
/// commands that work long before they append. An empty path is no output.
Status checkAppendable(const std::string &path);

/// The same of a file that is to be replaced atomically.
Status checkReplaceable(const std::string &path);

/// Makes the directories above `path`.
Status makeParents(const std::string &path);

/// One line on stderr that is written over; nothing unless stderr is a
/// terminal. Gone when the object is.
class ProgressLine {
public:
  ProgressLine();
  ~ProgressLine();
  void show(const std::string &text);
  void clear();

private:
  bool terminal;
  bool shown = false;
};

} // namespace coppice::rt

#endif
