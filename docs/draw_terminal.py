"""Draws what a terminal shows while a command runs in it.

python docs/draw_terminal.py docs/terminal.png 25 COMMAND...

The command runs in a terminal of its own for so many seconds; what is on it
then is drawn, and the command ended.
"""

import os
import pathlib
import pty
import select
import signal
import sys
import time

_COLUMNS, _ROWS = 110, 24


def watch(command: list[str], seconds: float) -> str:
  """Returns what the command has printed by then, as a terminal gets it."""
  child, terminal = pty.fork()
  if child == 0:
    os.environ |= {"COLUMNS": str(_COLUMNS), "LINES": str(_ROWS)}
    os.execvp(command[0], command)
  printed = b""
  until = time.monotonic() + seconds
  while time.monotonic() < until:
    if not select.select([terminal], [], [], 0.1)[0]:
      continue
    try:
      printed += os.read(terminal, 65536)
    except OSError:  # it has ended
      break
  else:
    os.kill(child, signal.SIGTERM)
  return printed.decode(errors="replace")


def screen(printed: str) -> list[str]:
  """Returns the lines that are left: a carriage return begins a line anew."""
  lines = printed.replace("\r\n", "\n").split("\n")
  return [line.split("\r")[-1].replace("\x1b[K", "") for line in lines][-_ROWS:]


def draw(path: pathlib.Path, lines: list[str]) -> None:
  """Draws lines of text, light on dark."""
  import matplotlib
  from PIL import Image, ImageDraw, ImageFont

  fonts = pathlib.Path(matplotlib.get_data_path()) / "fonts" / "ttf"
  font = ImageFont.truetype(str(fonts / "DejaVuSansMono.ttf"), 15)
  width, height = 9, 21
  size = (_COLUMNS * width + 24, len(lines) * height + 24)
  image = Image.new("RGB", size, "#1b1f24")
  for i, line in enumerate(lines):
    place = (12, 12 + i * height)
    ImageDraw.Draw(image).text(place, line, font=font, fill="#d7dde4")
  image.save(path)


if __name__ == "__main__":
  _, out, wait, *words = sys.argv
  shown = screen(watch(words, float(wait)))
  draw(pathlib.Path(out), [f"$ {' '.join(words)}", *shown])
