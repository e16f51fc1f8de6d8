#include "protocol.h"

#include <cstdlib>

namespace forkheap::symbolizer {

std::string Escape(const std::string& text) {
  std::string out;
  out.reserve(text.size());
  for (char c : text) {
    switch (c) {
      case '\\':
        out += "\\\\";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\n':
        out += "\\n";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string Unescape(const std::string& text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); i++) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    char c = text[++i];
    out += c == 't' ? '\t' : c == 'n' ? '\n' : c;
  }
  return out;
}

bool ReadRequests(std::istream& in, std::vector<ModuleRequest>* requests, std::string* reason) {
  std::string line;
  while (std::getline(in, line)) {
    if (line.compare(0, 2, "M\t") == 0) {
      size_t tab = line.find('\t', 2);
      if (tab == std::string::npos) {
        *reason = "M without a path";
        return false;
      }
      ModuleRequest request;
      request.build_id = line.substr(2, tab - 2);
      if (request.build_id == "-") request.build_id.clear();
      request.path = Unescape(line.substr(tab + 1));
      requests->push_back(std::move(request));
    } else if (line.compare(0, 2, "A\t") == 0 && !requests->empty()) {
      const char* start = line.c_str() + 2;
      char* end = nullptr;
      uint64_t offset = strtoull(start, &end, 16);
      if (end == start || *end != '\0') {
        *reason = "A without a hexadecimal offset";
        return false;
      }
      requests->back().offsets.push_back(offset);
    } else {
      *reason = "unknown line: " + line.substr(0, 80);
      return false;
    }
  }
  return true;
}

}  // namespace forkheap::symbolizer
