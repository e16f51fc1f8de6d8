#include "child_environment.h"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstring>

#include "../core/options.h"
#include "../core/parent_variable.h"

namespace forkheap {

// "NAME=VALUE" of each variable that makes a child a profiled one, each with its '\0'. Replaced, never freed: a child
// may be reading it.
struct ChildEnvironment::Variables {
  static constexpr int kMost = 32;
  const char* text[kMost];
  int count;
};

namespace {

std::atomic<const ChildEnvironment::Variables*> g_variables{nullptr};
// The path of this program, if it is Node.
char g_own_path[kMaxPath] = "";

bool Has(const char* entry, std::string_view name) {
  return strncmp(entry, name.data(), name.size()) == 0 && entry[name.size()] == '=';
}

const char* Value(const char* const* env, std::string_view name) {
  for (; *env != nullptr; ++env) {
    if (Has(*env, name)) return *env + name.size() + 1;
  }
  return nullptr;
}

const char* OurValue(const ChildEnvironment::Variables& ours, std::string_view name) {
  for (int i = 0; i < ours.count; ++i) {
    if (Has(ours.text[i], name)) return ours.text[i] + name.size() + 1;
  }
  return nullptr;
}

// A list variable that has a part of ours in front.
struct ListVariable {
  std::string_view name;
  std::string_view ours;  // the variable that tells our part
  char separator;
};
constexpr ListVariable kPreload = {"LD_PRELOAD", "FORKHEAP_LD_PRELOAD", ':'};
constexpr ListVariable kLists[] = {kPreload, {"NODE_OPTIONS", "FORKHEAP_NODE_OPTIONS", ' '}};

const ListVariable* ListOf(const char* entry) {
  for (const ListVariable& list : kLists) {
    if (Has(entry, list.name)) return &list;
  }
  return nullptr;
}

// Our library without the allocator behind it: the first of the two.
std::string_view WithoutAllocator(std::string_view preload) { return preload.substr(0, preload.find(':')); }

// What follows `part` in `value`; null when `value` does not begin with it. `*value` may be what it returns.
const char* After(const char* value, std::string_view part, char separator) {
  if (part.empty() || strncmp(value, part.data(), part.size()) != 0) return nullptr;
  const char* rest = value + part.size();
  if (*rest == '\0') return rest;
  return *rest == separator ? rest + 1 : nullptr;
}

// `value` of a list variable without our part.
const char* Rest(const ListVariable& list, const char* value, const char* part) {
  if (value == nullptr || part == nullptr) return value;
  const char* rest = After(value, part, list.separator);
  if (rest == nullptr && list.name == kPreload.name) rest = After(value, WithoutAllocator(part), list.separator);
  return rest == nullptr ? value : rest;
}

char* AppendText(char* at, std::string_view text) {
  memcpy(at, text.data(), text.size());
  return at + text.size();
}

// `part` in front of `theirs`.
char* Join(const ListVariable& list, std::string_view part, const char* theirs, char* text) {
  text = AppendText(text, list.name);
  *text++ = '=';
  text = AppendText(text, part);
  if (theirs != nullptr && *theirs != '\0') {
    if (!part.empty()) *text++ = list.separator;
    text = AppendText(text, theirs);
  }
  *text++ = '\0';
  return text;
}

// Whether a program is taken for Node before it runs. One that is Node in spite of its name puts that right itself, at
// the cost of one exec more.
bool LooksLikeNode(const char* file) {
  const char* slash = strrchr(file, '/');
  const char* name = slash == nullptr ? file : slash + 1;
  return strncmp(name, "node", 4) == 0 || (g_own_path[0] != '\0' && strcmp(file, g_own_path) == 0);
}

}  // namespace

ChildEnvironment::ChildEnvironment(const char* file, const char* const* given, Allocator allocator)
    : given_(given), ours_(g_variables.load(std::memory_order_acquire)) {
  if (given == nullptr) return;
  with_allocator_ = allocator == Allocator::kYes || LooksLikeNode(file);
  const char* disable = Value(given, "FORKHEAP_DISABLE");
  const char* their_part = Value(given, kPreload.ours);
  if (disable != nullptr && strcmp(disable, "1") == 0) {
    change_ = Change::kRemove;
  } else if (Value(given, "FORKHEAP_PREFIX") == nullptr) {
    if (ours_ != nullptr) change_ = Change::kAdd;
  } else if (their_part != nullptr) {
    // The environment is complete; what it preloads may not be what this program needs.
    const char* value = Value(given, kPreload.name);
    const bool has = value != nullptr && After(value, their_part, ':') != nullptr;
    const bool has_less = value != nullptr && !has && After(value, WithoutAllocator(their_part), ':') != nullptr;
    if ((has && !with_allocator_) || (has_less && with_allocator_)) change_ = Change::kSwap;
  }
}

std::string_view ChildEnvironment::OurPreload(const char* part) const {
  return with_allocator_ ? std::string_view(part) : WithoutAllocator(part);
}

size_t ChildEnvironment::entries() const {
  size_t count = 0;
  while (given_[count] != nullptr) ++count;
  return count + Variables::kMost + 8;
}

size_t ChildEnvironment::text_size() const {
  size_t size = 64;
  for (const ListVariable& list : kLists) {
    const char* theirs = Value(given_, list.name);
    const char* part = ours_ == nullptr ? nullptr : OurValue(*ours_, list.ours);
    const char* their_part = Value(given_, list.ours);
    for (const char* one : {theirs, part, their_part}) size += one == nullptr ? 0 : strlen(one);
    size += list.name.size() + 3;
  }
  return size;
}

void ChildEnvironment::Fill(const char** out, char* text) const {
  switch (change_) {
    case Change::kAdd:
      return Add(out, text);
    case Change::kSwap:
      return Swap(out, text);
    default:
      return Remove(out, text);
  }
}

// The entries given and our variables.
void ChildEnvironment::Add(const char** out, char* text) const {
  for (const char* const* entry = given_; *entry != nullptr; ++entry) {
    // gperftools must not start a profile of its own: see docs/limits.md.
    if (ListOf(*entry) == nullptr && !Has(*entry, "HEAPPROFILE")) *out++ = *entry;
  }
  for (int i = 0; i < ours_->count; ++i) {
    if (ListOf(ours_->text[i]) == nullptr) *out++ = ours_->text[i];
  }
  *out++ = ParentVariable();
  for (const ListVariable& list : kLists) {
    const char* part = OurValue(*ours_, list.ours);
    const char* theirs = Value(given_, list.name);
    if (part == nullptr && theirs == nullptr) continue;
    *out++ = text;
    std::string_view added = part == nullptr ? "" : part;
    if (list.name == kPreload.name) added = OurPreload(part == nullptr ? "" : part);
    text = Join(list, added, Rest(list, theirs, part), text);
  }
  *out = nullptr;
}

// The entries given, with the allocator in LD_PRELOAD or without it.
void ChildEnvironment::Swap(const char** out, char* text) const {
  const char* part = Value(given_, kPreload.ours);
  for (const char* const* entry = given_; *entry != nullptr; ++entry) {
    if (Has(*entry, kPreload.name)) {
      *out++ = text;
      text = Join(kPreload, OurPreload(part), Rest(kPreload, *entry + kPreload.name.size() + 1, part), text);
    } else {
      *out++ = *entry;
    }
  }
  *out = nullptr;
}

// The entries given without ours.
void ChildEnvironment::Remove(const char** out, char* text) const {
  for (const char* const* entry = given_; *entry != nullptr; ++entry) {
    const ListVariable* list = ListOf(*entry);
    if (list != nullptr) {
      const char* rest = Rest(*list, *entry + list->name.size() + 1, Value(given_, list->ours));
      if (*rest == '\0') continue;
      *out++ = text;
      text = Join(*list, "", rest, text);
    } else if (strncmp(*entry, "FORKHEAP_", 9) != 0) {
      *out++ = *entry;
    }
  }
  *out = nullptr;
}

bool LacksAllocator() {
  const char* part = Value(environ, kPreload.ours);
  const char* value = Value(environ, kPreload.name);
  return part != nullptr && value != nullptr && After(value, part, ':') == nullptr &&
         After(value, WithoutAllocator(part), ':') != nullptr;
}

void SetOwnPath(const char* path) {
  if (strlen(path) < sizeof(g_own_path))
    strcpy(g_own_path, path);  // NOLINT(clang-analyzer-security.insecureAPI.strcpy)
}

void SetChildEnvironment(const char* const* entries, size_t count) {
  if (count == 0) {
    g_variables.store(nullptr, std::memory_order_release);
    return;
  }
  size_t size = 0;
  for (size_t i = 0; i < count; ++i) size += strlen(entries[i]) + 1;
  // Never freed, one for each start of a profile: a child may be reading them.
  void* pages = mmap(nullptr, sizeof(ChildEnvironment::Variables) + size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) return;
  auto* variables = static_cast<ChildEnvironment::Variables*>(pages);
  char* text = reinterpret_cast<char*>(variables + 1);
  for (size_t i = 0; i < count && variables->count < ChildEnvironment::Variables::kMost; ++i) {
    variables->text[variables->count++] = text;
    text = AppendText(text, {entries[i], strlen(entries[i]) + 1});
  }
  g_variables.store(variables, std::memory_order_release);
}

}  // namespace forkheap
