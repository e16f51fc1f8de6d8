/** Thrown by a command that has said all there is to say, and ends with a status of its own. main.ts prints nothing for it. */
export class ExitStatus extends Error {
  constructor(readonly status: number) {
    super(`exit status ${status}`);
  }
}
