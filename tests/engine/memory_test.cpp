// engine/memory: figures of this machine are plausible; control groups are read from copies of the kernel's files.
#include "engine/memory.hpp"

#include <cstring>
#include <vector>

#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace dtcalc;
using dtcalc::test::TemporaryFolder;
using dtcalc::test::write_bytes;

namespace {

void write_machine(const std::filesystem::path& root, const std::string& groups) {
  write_bytes(root / "proc/meminfo",
              "MemTotal:       16000000 kB\nMemFree:  1000000 kB\nMemAvailable:    8000000 kB\n");
  write_bytes(root / "proc/self/cgroup", groups);
}

}  // namespace

TEST_CASE("memory: this machine") {
  const auto available = available_memory();
  const auto total = total_memory();
  REQUIRE(available);
  REQUIRE(total);
  CHECK(*available > 16_MiB);
  CHECK(*available <= *total);
  REQUIRE(process_memory());
  const Bytes before = *process_memory();
  CHECK(before > 1_MiB);
  CHECK(*peak_process_memory() >= before);

  std::vector<char> taken(64 << 20);
  std::memset(taken.data(), 1, taken.size());
  CHECK(*process_memory() - before > 60_MiB);
  CHECK(taken[12345] == 1);
  CHECK(*peak_process_memory() >= before + 60_MiB);
}

TEST_CASE("memory: without limits it is what the kernel says") {
  const TemporaryFolder root;
  write_machine(root.path(), "0::/\n");
  CHECK(available_memory(root.path()) == Bytes(8000000LL * 1024));
  CHECK(total_memory(root.path()) == Bytes(16000000LL * 1024));
  write_bytes(root.path() / "sys/fs/cgroup/memory.max", "max\n");
  write_bytes(root.path() / "sys/fs/cgroup/memory.current", "123\n");
  CHECK(available_memory(root.path()) == Bytes(8000000LL * 1024));
}

TEST_CASE("memory: the tightest control group above the process counts (version 2)") {
  const TemporaryFolder root;
  write_machine(root.path(), "0::/user.slice/job\n");
  const auto group = root.path() / "sys/fs/cgroup/user.slice";
  write_bytes(group / "job/memory.max", "max\n");
  write_bytes(group / "job/memory.current", "100\n");
  write_bytes(group / "memory.max", "1000000000\n");
  write_bytes(group / "memory.current", "600000000\n");
  write_bytes(group / "memory.stat", "anon 1\nfile 300000000\ninactive_file 200000000\nactive_file 100000000\n");
  // 1e9 - 6e8 used + 2e8 of file cache that the kernel gives back.
  CHECK(available_memory(root.path()) == Bytes(600000000));
  CHECK(total_memory(root.path()) == Bytes(1000000000));
  write_bytes(group / "memory.current", "1300000000\n");
  CHECK(available_memory(root.path()) == Bytes(0));
}

TEST_CASE("memory: control groups of version 1") {
  const TemporaryFolder root;
  write_machine(root.path(), "4:cpu,cpuacct:/\n3:memory:/docker/abc\n0::/docker/abc\n");
  const auto group = root.path() / "sys/fs/cgroup/memory";
  SECTION("the group's own path is mounted") {
    write_bytes(group / "docker/abc/memory.limit_in_bytes", "2000000000\n");
    write_bytes(group / "docker/abc/memory.usage_in_bytes", "500000000\n");
    write_bytes(group / "memory.limit_in_bytes", "9223372036854771712\n");
    write_bytes(group / "memory.usage_in_bytes", "7000000000\n");
    CHECK(available_memory(root.path()) == Bytes(1500000000));
  }
  SECTION("inside the container only its own root is") {
    write_bytes(group / "memory.limit_in_bytes", "2000000000\n");
    write_bytes(group / "memory.usage_in_bytes", "500000000\n");
    write_bytes(group / "memory.stat", "cache 1\ntotal_inactive_file 100000000\n");
    CHECK(available_memory(root.path()) == Bytes(1600000000));
  }
}

TEST_CASE("memory: a system without these files is unknown, not zero") {
  const TemporaryFolder root;
  CHECK_FALSE(available_memory(root.path()));
  CHECK_FALSE(total_memory(root.path()));
  CHECK_FALSE(process_memory(root.path()));
  CHECK_FALSE(machine_description(root.path()).memory);
}

TEST_CASE("memory: the machine's description") {
  const TemporaryFolder root;
  write_machine(root.path(), "0::/\n");
  write_bytes(root.path() / "proc/cpuinfo",
              "processor\t: 0\nmodel name\t: Some CPU @ 2.00GHz\nphysical id\t: 0\ncore id\t\t: 0\n\n"
              "processor\t: 1\nmodel name\t: Some CPU @ 2.00GHz\nphysical id\t: 0\ncore id\t\t: 0\n\n"
              "processor\t: 2\nmodel name\t: Some CPU @ 2.00GHz\nphysical id\t: 1\ncore id\t\t: 0\n\n");
  write_bytes(root.path() / "etc/os-release", "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n");
  MachineDescription machine = machine_description(root.path());
  CHECK(machine.processor == "Some CPU @ 2.00GHz");
  CHECK(machine.cores == 2);
  CHECK(machine.threads >= 1);  // of the real machine, as are kernel and architecture
  CHECK(machine.kernel.starts_with("Linux "));
  machine.threads = 3;
  CHECK(describe(machine) == "Some CPU @ 2.00GHz, 2 cores, 3 threads, 15.26 GiB, Debian GNU/Linux 12 (bookworm)");
}
