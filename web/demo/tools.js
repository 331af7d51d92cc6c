/**
 * The functions that the model can call in this page, and the line that the page shows after each.
 * A profile must declare them. The library calls, answers and cancels them.
 */

/** The person's local time, which only their browser knows. */
export async function get_time() {
  const now = new Date();
  const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
  return {
    time: now.toLocaleTimeString('en', { hour: '2-digit', minute: '2-digit', hour12: false }),
    date: now.toDateString(),
    timeZone,
  };
}

/** @type {Record<string, string>} */
export const TOOL_NOTES = { get_time: 'Checked the time' };
