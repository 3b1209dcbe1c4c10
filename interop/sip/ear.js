// Looks for DTMF in sound: both frequencies of a digit (ITU-T Q.23) by Goertzel's filter, in windows of 40 ms.
'use strict';

const ROWS = [697, 770, 852, 941];
const COLUMNS = [1209, 1336, 1477, 1633];
const DIGITS = ['123A', '456B', '789C', '*0#D'];
const WINDOW_S = 0.04;
// Of the power of a window each of the two has a half, in a clean tone.
const LEAST_PART = 0.3;
const LEAST_POWER = 1e4;

class Ear {
  constructor() {
    this.tones = '';
    this.waiting = [];
    this.last = [null, null];
    this.sounding = null;
  }

  // One piece of sound as RTCAudioSink gives it: 16-bit samples, of which the first channel counts.
  hear({ samples, sampleRate, channelCount }) {
    for (let index = 0; index < samples.length; index += channelCount) this.waiting.push(samples[index]);
    const size = Math.round(sampleRate * WINDOW_S);
    while (this.waiting.length >= size) this.judge(this.waiting.splice(0, size), sampleRate);
  }

  // A digit counts once it is there in two windows one after the other, and again after one without it.
  judge(window, sampleRate) {
    const digit = digitOf(window, sampleRate);
    const steady = digit !== null && this.last[1] === digit;
    if (steady && this.sounding !== digit) this.tones += digit;
    this.sounding = steady ? digit : digit === null ? null : this.sounding;
    this.last = [this.last[1], digit];
  }
}

function digitOf(window, sampleRate) {
  const power = window.reduce((sum, sample) => sum + sample * sample, 0) / window.length;
  if (power < LEAST_POWER) return null;
  const part = (frequency) => partOf(window, sampleRate, frequency) / power;
  const best = (frequencies) => {
    const parts = frequencies.map(part);
    const place = parts.indexOf(Math.max(...parts));
    return parts[place] < LEAST_PART ? null : place;
  };
  const [row, column] = [best(ROWS), best(COLUMNS)];
  return row === null || column === null ? null : DIGITS[row][column];
}

// Power at one frequency.
function partOf(window, sampleRate, frequency) {
  const factor = 2 * Math.cos((2 * Math.PI * frequency) / sampleRate);
  let [before, last] = [0, 0];
  for (const sample of window) [before, last] = [last, sample + factor * last - before];
  return (2 * (last * last + before * before - factor * last * before)) / (window.length * window.length);
}

module.exports = { Ear };
