// What the two leak checks say of a leak and of work that leaks nothing. Prints JSON.
//
//   node leaks.cjs growth|checker PACKAGE PROGRAMS
const [kind, pack, programs] = process.argv.slice(2);
const { checkNativeLeaks, HeapLeakChecker } = require(pack);
const { leaky } = require(`${programs}/leaky.cjs`);

const work = () => void Buffer.alloc(1000).toString('base64');

async function growth() {
  const leak = await checkNativeLeaks(() => leaky.leak(10, 1000));
  const clean = await checkNativeLeaks(work);
  return { found: leak.leaks === true, bytes: leak.bytesPerIteration, clean: clean.leaks === false };
}

function checker() {
  leaky.lose(true); // nothing points to what is leaked
  const check = (name, run, options) => {
    const one = new HeapLeakChecker(name, options);
    run();
    return { clean: one.noLeaks(), findings: one.report().findings };
  };
  const { clean, findings } = check('leak', () => leaky.leak(100, 1000), { owners: 'all' });
  const ours = findings.filter(({ stack }) => stack.some(({ name }) => name.includes('LeakBlocks')));
  const bytes = ours.reduce((sum, finding) => sum + finding.bytes, 0);
  return { found: !clean, bytes, clean: check('work', work).clean };
}

(async () => console.log(JSON.stringify(await { growth, checker }[kind]())))();
