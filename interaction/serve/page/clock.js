/** Seconds as minutes and seconds: 1:05. */
export function clock(t_s) {
  return `${Math.floor(t_s / 60)}:${String(Math.floor(t_s % 60)).padStart(2, "0")}`;
}
