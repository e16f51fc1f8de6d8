// Files of a test: an empty folder of its own, and what is in it.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "../core/files.h"
#include "harness.h"

namespace forkheap::test {

// An empty folder that goes with its scope.
class Folder {
 public:
  Folder() {
    char name[] = "/tmp/forkheap-native-XXXXXX";
    path_ = mkdtemp(name);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  // The names in it, sorted, separated by spaces, the pid replaced by P.
  [[nodiscard]] std::string List() const {
    std::vector<std::string> names;
    const std::string pid = std::to_string(getpid());
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path_)) {
      if (entry.is_directory()) continue;
      std::string name = entry.path().string().substr(path_.size() + 1);
      for (size_t at = 0; (at = name.find(pid, at)) != std::string::npos;) name.replace(at, pid.size(), "P");
      names.push_back(name);
    }
    std::sort(names.begin(), names.end());
    std::string all;
    for (const std::string& name : names) all += (all.empty() ? "" : " ") + name;
    return all;
  }

 private:
  std::string path_;
};

inline std::string Read(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

inline void Write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

inline std::string Pid() { return std::to_string(getpid()); }

inline bool Dump(Files* files, const std::string& text, bool rolling = false) {
  Status status;
  files->WriteDump(text, rolling, &status);
  return status.ok();
}

inline bool Open(Files* files, const std::string& prefix) {
  Status status;
  files->Open(prefix.c_str(), &status);
  return status.ok();
}

}  // namespace forkheap::test
