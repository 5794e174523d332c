// Stopping a long run on Ctrl-C at a point where it can save. Called by the verbs that take time.
#pragma once

namespace dtcalc {

/// While one lives, SIGINT and SIGTERM ask the run to stop at its next step instead of ending the process; a second
/// SIGINT exits at once with 130. At most one may live at a time (signal handlers are the process's, hence the one
/// piece of state behind it). The old handlers come back at the end.
class StopRequest {
 public:
  StopRequest();
  StopRequest(const StopRequest&) = delete;
  StopRequest& operator=(const StopRequest&) = delete;
  ~StopRequest();
  bool requested() const;
  /// 130 after SIGINT, 143 after SIGTERM, 0 when nothing was requested.
  int exit_code() const;
};

}  // namespace dtcalc
