/**
 * @param place the file, or its folder: what the system says of one that is open does not name it
 * @returns what went wrong there, in one line
 */
export function troubleAt(place: string, error: unknown): string {
  const { message, syscall, path } = error as NodeJS.ErrnoException;
  return syscall === undefined || path !== undefined ? message : `${place}: ${message}`;
}
