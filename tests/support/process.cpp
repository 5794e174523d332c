#include "support/process.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <map>
#include <stdexcept>
#include <thread>

namespace dtcalc::test {
namespace {

constexpr auto poll_interval = std::chrono::milliseconds(2);
constexpr int cannot_start = 127;

[[noreturn]] void fail(const std::string& what) { throw std::runtime_error(what + ": " + std::strerror(errno)); }

/// A file that exists in memory only, with this content, read from its beginning.
int memory_file(std::string_view content) {
  const int descriptor = ::memfd_create("dtcalc-test", MFD_CLOEXEC);
  if (descriptor < 0) fail("memfd_create");
  if (::write(descriptor, content.data(), content.size()) != static_cast<ssize_t>(content.size())) fail("write");
  ::lseek(descriptor, 0, SEEK_SET);
  return descriptor;
}

std::string content_of(int descriptor) {
  struct stat status {};
  if (descriptor < 0 || ::fstat(descriptor, &status) != 0) return {};
  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  const ssize_t count = ::pread(descriptor, text.data(), text.size(), 0);
  text.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
  return text;
}

int open_output(const ProcessOptions& options) {
  if (options.output_closed) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) fail("pipe2");
    ::close(ends[0]);
    return ends[1];
  }
  if (options.output.empty()) return memory_file("");
  const int descriptor = ::open(options.output.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor < 0) fail(options.output.string());
  return descriptor;
}

std::vector<std::string> environment_of(const ProcessOptions& options) {
  std::map<std::string, std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::size_t equals = text.find('=');
    if (equals != std::string_view::npos) variables[std::string(text.substr(0, equals))] = text.substr(equals + 1);
  }
  for (const auto& [name, value] : options.environment) {
    variables.erase(name);
    if (value) variables[name] = *value;
  }
  std::vector<std::string> result;
  result.reserve(variables.size());
  for (const auto& [name, value] : variables) result.push_back(std::string(name).append("=").append(value));
  return result;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  result.reserve(texts.size() + 1);
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

}  // namespace

std::string describe(const ProcessResult& result) {
  std::string text = result.timed_out     ? "timed out"
                     : result.signal != 0 ? "ended by signal " + std::to_string(result.signal)
                                          : "exit code " + std::to_string(result.exit_code);
  if (!result.output.empty()) text += "\nstandard output:\n" + result.output;
  if (!result.error.empty()) text += "\nstandard error:\n" + result.error;
  return text;
}

Process::Process(const std::filesystem::path& program, const ProcessOptions& options) {
  // Everything that allocates happens before the fork.
  std::vector<std::string> arguments{program.string()};
  arguments.insert(arguments.end(), options.arguments.begin(), options.arguments.end());
  std::vector<std::string> variables = environment_of(options);
  const std::vector<char*> argument_pointers = pointers(arguments), variable_pointers = pointers(variables);
  const int input = memory_file(options.input);
  output_ = open_output(options);
  error_ = memory_file("");
  const pid_t parent = ::getpid();

  id_ = ::fork();
  if (id_ < 0) fail("fork");
  if (id_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(cannot_start);
    for (const int number : {SIGINT, SIGTERM, SIGPIPE, SIGHUP}) ::signal(number, SIG_DFL);
    if (!options.folder.empty() && ::chdir(options.folder.c_str()) != 0) ::_exit(cannot_start);
    ::dup2(input, STDIN_FILENO);
    ::dup2(output_, STDOUT_FILENO);
    ::dup2(error_, STDERR_FILENO);
    ::execve(program.c_str(), argument_pointers.data(), variable_pointers.data());
    ::_exit(cannot_start);
  }
  ::close(input);
  if (options.output_closed || !options.output.empty()) ::close(std::exchange(output_, -1));
}

Process::~Process() {
  if (running()) {
    send(SIGKILL);
    int status = 0;
    ::waitpid(id_, &status, 0);
  }
  for (const int descriptor : {output_, error_}) {
    if (descriptor >= 0) ::close(descriptor);
  }
}

bool Process::running() {
  if (status_) return false;
  int status = 0;
  if (::waitpid(id_, &status, WNOHANG) != id_) return true;
  status_ = status;
  return false;
}

void Process::send(int signal) {
  if (running()) ::kill(id_, signal);
}

std::string Process::output() const { return content_of(output_); }
std::string Process::error() const { return content_of(error_); }

bool Process::wait_for(std::string_view text, Duration limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (true) {
    const bool ended = !running();  // asked first: what it printed before it ended counts
    if (output().find(text) != std::string::npos || error().find(text) != std::string::npos) return true;
    if (ended || std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(poll_interval);
  }
}

ProcessResult Process::wait(Duration limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  ProcessResult result;
  while (running()) {
    if (!result.timed_out && std::chrono::steady_clock::now() >= end) {
      result.timed_out = true;
      send(SIGKILL);
    }
    std::this_thread::sleep_for(poll_interval);
  }
  const int status = status_.value();
  if (WIFEXITED(status)) result.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
  result.output = output();
  result.error = error();
  return result;
}

ProcessResult run_process(const std::filesystem::path& program, const ProcessOptions& options,
                          Process::Duration limit) {
  return Process(program, options).wait(limit);
}

}  // namespace dtcalc::test
