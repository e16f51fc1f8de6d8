// A leak and work that leaks nothing, for the leak checks.
//
//   node leaks.cjs growth PACKAGE PROGRAMS      what the growth check says of both, as JSON
//   node leaks.cjs work                         the work alone
const [kind, pack, programs] = process.argv.slice(2);

const work = () => void Buffer.alloc(1000).toString('base64');

async function growth() {
  const { checkNativeLeaks } = require(pack);
  const { leaky } = require(`${programs}/leaky.cjs`);
  const leak = await checkNativeLeaks(() => leaky.leak(10, 1000));
  const clean = await checkNativeLeaks(work);
  console.log(
    JSON.stringify({ found: leak.leaks === true, bytes: leak.bytesPerIteration, clean: clean.leaks === false }),
  );
}

if (kind === 'growth') growth();
else for (let i = 0; i < 1000; i++) work();
