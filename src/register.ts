// `--require forkheap/register`: the JavaScript half in each followed process. The native half has started the profile by now.
import { followChildren } from './capture/children.js';
import { profileVariablesOf, withoutProfile } from './capture/environment.js';
import { native } from './native.js';

const variables = profileVariablesOf(process.env);
if (variables.FORKHEAP_PREFIX !== undefined) {
  try {
    native();
    if (variables.FORKHEAP_CHILDREN === 'none') {
      const clean = withoutProfile(process.env);
      for (const name of Object.keys(process.env)) {
        if (!(name in clean)) delete process.env[name];
        else if (process.env[name] !== clean[name]) process.env[name] = clean[name];
      }
    } else {
      followChildren(variables, 'all');
    }
  } catch (error) {
    // The service matters more than its profile.
    process.stderr.write(`forkheap[${process.pid}]: ${error instanceof Error ? error.message : String(error)}\n`);
  }
}
