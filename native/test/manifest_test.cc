// The manifest is JSON whatever it is about.
#include "../core/manifest.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "folder.h"
#include "harness.h"
#include "manifest_program.h"

int forkheap::test::PrintManifest() {
  const Folder folder;
  Files files;
  Open(&files, folder / "p \"\\\n\x01");
  Dump(&files, "heap profile:");
  forkheap::ManifestFacts facts;
  facts.pid = getpid();
  facts.node_version = "v1\"\x02\xff";
  const std::string dump =
      "heap profile:\nMAPPED_LIBRARIES:\n00400000-00401000 r-xp 00000000 00:00 0 /a \"\\\xc3\xa4\xff\x05/b\n"
      "garbage\n00400000-00401000 r-xp 00000000 00:00 0 /" +
      std::string(8000, 'x') + "\n00400000";
  TextBuffer out;
  forkheap::FormatManifest(facts, files, dump, &out);
  fwrite(out.data(), 1, out.size(), stdout);
  return out.failed() ? 1 : 0;
}

TEST("manifest: JSON whatever the command line and the mappings hold") {
  // Bytes that are no UTF-8, a surrogate and an overlong form among them.
  static const char* const kArguments[] = {"",
                                           "\"quoted\"",
                                           "back\\slash",
                                           "new\nline\t\x01\x1f\x7f",
                                           "\xff",
                                           "\xc3",
                                           "\xc3\xa4",
                                           "\xe2\x82",
                                           "\x80",
                                           "\xed\xa0\x80",
                                           "\xc0\xaf",
                                           "\xf0\x9f\x98\x80",
                                           "\xf5",
                                           "\xf4\x90\x80\x80",
                                           "\xe0\x80\x80",
                                           "\xf0\x80\x80\x80",
                                           "{}"};
  int manifest[2];
  EXPECT(pipe(manifest) == 0);
  const pid_t child = fork();
  if (child == 0) {
    dup2(manifest[1], 1);
    std::vector<char*> argv{const_cast<char*>("/proc/self/exe"), const_cast<char*>("--manifest")};
    for (const char* argument : kArguments) argv.push_back(const_cast<char*>(argument));
    argv.push_back(nullptr);
    execv("/proc/self/exe", argv.data());
    _exit(127);
  }
  close(manifest[1]);
  const pid_t reader = fork();
  if (reader == 0) {
    dup2(manifest[0], 0);
    execlp("node", "node", "-e", R"(
      const bytes = require('node:fs').readFileSync(0);
      const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
      const { argv, mappings, exit, nodeVersion } = JSON.parse(text);
      const good = argv.length === 19 && argv[3] === '"quoted"' && argv[4] === 'back\\slash' &&
        argv[5] === 'new\nline\t\x01\x1f\x7f' && argv[6] === '\ufffd' && argv[8] === '\u00e4' &&
        argv[13] === '\u{1f600}' && argv[18] === '{}' && mappings.length === 2 && exit === null &&
        nodeVersion === 'v1"\x02\ufffd';
      if (!good) console.log('#', JSON.stringify({ argv, mappings, exit, nodeVersion }).slice(0, 1000));
      process.exit(good ? 0 : 1);
    )",
           nullptr);
    _exit(127);
  }
  close(manifest[0]);
  int status = 0;
  EXPECT(waitpid(child, &status, 0) == child && status == 0);
  EXPECT(waitpid(reader, &status, 0) == reader && status == 0);
}
