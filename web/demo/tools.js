/**
 * The functions that the model may call in this page, and what a person reads when one of them ran.
 * Needs: a profile that declares them. Loaded during a conversation. Leaves: calling, answering and cancelling to the library.
 */

/** The time where the person sits, which only their browser knows. */
export async function get_time() {
  const now = new Date();
  const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
  return { time: now.toLocaleTimeString('en', { hour: '2-digit', minute: '2-digit', hour12: false }), date: now.toDateString(), timeZone };
}

/** @type {Record<string, string>} */
export const TOOL_NOTES = { get_time: 'Checked the time' };
