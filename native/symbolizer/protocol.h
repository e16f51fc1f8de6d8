// The line protocol between src/symbolize/client.ts and this program. Fields are separated by tabs; backslash, tab and
// newline inside a field are written \\, \t and \n, so paths and names may hold anything.
//
//   request:  M <build id in hex, or -> <path>     a file; the A lines after it belong to it
//             A <file offset in hex>               one address in it
//   answer:   M ok | M error <reason>              once per M
//             F <function> <source file> <line>    innermost inlined frame first; then
//             .                                    ends each address; no F before it: no symbol
#pragma once

#include <cstdint>
#include <istream>
#include <string>
#include <vector>

namespace forkheap::symbolizer {

struct Frame {
  std::string function;
  std::string file;
  int line = 0;
};

struct ModuleRequest {
  std::string path;
  std::string build_id;  // empty: do not check
  std::vector<uint64_t> offsets;
};

std::string Escape(const std::string& text);
std::string Unescape(const std::string& text);

// Reads every request. False, with a reason, for input that is not in the protocol.
bool ReadRequests(std::istream& in, std::vector<ModuleRequest>* requests, std::string* reason);

}  // namespace forkheap::symbolizer
