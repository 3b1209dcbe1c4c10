"""Writes the audio that softphones send: five seconds of a synthetic, speech-like voice.

The signal is computed here and recorded from nobody: a glottal pulse train with a slow pitch melody through three moving
formant resonators, in syllables with pauses, so that its level and its bit rate vary as those of speech do.

    python3 voice.py            # writes voice-48000.wav (for the Opus encoder) and voice.ulaw (PCMU, ready)
"""
import math
import struct
import wave

SECONDS = 5
VOWELS = [(730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480), (570, 840, 2410)]  # Hz


def voice(rate):
    """Samples in -1..1: syllables of 250 ms, every fourth one silent."""
    count, samples, phase = SECONDS * rate, [], 0.0
    state = [[0.0, 0.0] for _ in range(3)]
    syllable_length = rate // 4
    for n in range(count):
        syllable, within = divmod(n, syllable_length)
        position = within / syllable_length
        pitch = 115 + 25 * math.sin(2 * math.pi * n / count * 3) + 10 * math.sin(2 * math.pi * position)
        phase += pitch / rate
        pulse = 0.0
        if phase >= 1.0:
            phase -= 1.0
            pulse = 1.0
        envelope = 0.0 if syllable % 4 == 3 else math.sin(math.pi * position) ** 0.7
        here, there = VOWELS[syllable % 5], VOWELS[(syllable + 1) % 5]
        sample = 0.0
        for formant, memory in enumerate(state):
            frequency = here[formant] + (there[formant] - here[formant]) * position
            radius = math.exp(-math.pi * (80 + 40 * formant) / rate)
            value = pulse + 2 * radius * math.cos(2 * math.pi * frequency / rate) * memory[0] - radius * radius * memory[1]
            memory[1], memory[0] = memory[0], value
            sample += value * (1.0, 0.6, 0.3)[formant]
        samples.append(sample * envelope)
    peak = max(abs(sample) for sample in samples)
    return [sample / peak * 0.5 for sample in samples]


def mu_law(sample):
    """One G.711 mu-law octet for a sample in -1..1."""
    value = int(sample * 32767) >> 2
    sign = 0x80 if value < 0 else 0
    magnitude = min(abs(value), 8158) + 33
    exponent = max(magnitude.bit_length() - 6, 0)
    return ~(sign | exponent << 4 | (magnitude >> exponent + 1) & 0x0F) & 0xFF


if __name__ == "__main__":
    with wave.open("voice-48000.wav", "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(48000)
        file.writeframes(b"".join(struct.pack("<h", int(sample * 32767)) for sample in voice(48000)))
    with open("voice.ulaw", "wb") as file:
        file.write(bytes(mu_law(sample) for sample in voice(8000)))
