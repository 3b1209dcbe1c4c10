// Command pion-softphone is pion as a softphone: one call over the plain JSON signaling of src/signaling/json.rs, both audio
// directions counted. It understands the command line of softphones/command_line.py and ends with the line of softphones/ending.py.
//
// Every wait has a deadline, and the PeerConnection and the socket are closed before the last line is printed.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"net"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

const (
	answerDeadline    = 15 * time.Second
	connectDeadline   = 15 * time.Second
	byeDeadline       = 5 * time.Second
	settleDeadline    = 500 * time.Millisecond
	patience          = 5 // times the hold; see softphones/ending.py
	packetInterval    = 20 * time.Millisecond
	pcmuSamples       = 160
	opusClockSamples  = 960
	pcmuSampleRate    = 8000
	opusPayloadType   = 109 // any dynamic type (RFC 3551 §3), another one than the other stacks use
	toneHz            = 400
	toneAmplitude     = 8000
	signalingDeadline = 10 * time.Second
)

// opusSilence is one 20 ms fullband CELT frame of silence (RFC 6716 §3.1, table 2, configuration 31), which any decoder takes.
var opusSilence = []byte{0xf8, 0xff, 0xfe}

type options struct {
	signaling, stun, call, answerAs, codec string
	full                                   bool
	hold, deadline                         time.Duration
	packets                                uint64
}

// media is MediaCounters of src/peer; what pion does not count stays 0.
type media struct {
	PacketsSent     uint64  `json:"packetsSent"`
	BytesSent       uint64  `json:"bytesSent"`
	PacketsReceived uint64  `json:"packetsReceived"`
	BytesReceived   uint64  `json:"bytesReceived"`
	PacketsLost     int64   `json:"packetsLost"`
	SocketDrops     uint64  `json:"socketDrops"`
	PacketsSkipped  uint64  `json:"packetsSkipped"`
	Jitter          float64 `json:"jitter"`
	RtcpSent        uint64  `json:"rtcpSent"`
	RtcpReceived    uint64  `json:"rtcpReceived"`
}

// message is any message of src/signaling/json.rs.
type message struct {
	Type      string                   `json:"type"`
	Name      string                   `json:"name,omitempty"`
	Call      string                   `json:"call,omitempty"`
	To        string                   `json:"to,omitempty"`
	Sdp       string                   `json:"sdp,omitempty"`
	Candidate *webrtc.ICECandidateInit `json:"candidate,omitempty"`
	Media     *media                   `json:"media,omitempty"`
	Code      string                   `json:"code,omitempty"`
	Message   string                   `json:"message,omitempty"`
}

// ending is the last line; see softphones/ending.py.
type ending struct {
	Event           string   `json:"event"`
	Reason          string   `json:"reason,omitempty"`
	Peer            string   `json:"peer"`
	Version         string   `json:"version"`
	State           string   `json:"state"`
	Codec           *string  `json:"codec"`
	PacketsSent     uint64   `json:"packetsSent"`
	PacketsReceived uint64   `json:"packetsReceived"`
	PacketsLost     int64    `json:"packetsLost"`
	Heard           *bool    `json:"heard"`
	PeerAccounts    *media   `json:"peerAccounts"`
	Seen            []string `json:"seen"`
}

// tone is a local audio track that sends a packet every 20 ms from the moment it is bound, by schedule, until hushed.
type tone struct {
	mu       sync.Mutex
	counted  media
	hushed   chan struct{}
	silent   chan struct{}
	quieting sync.Once
}

func newTone() *tone { return &tone{hushed: make(chan struct{}), silent: make(chan struct{})} }

func (t *tone) ID() string                { return "tone" }
func (t *tone) RID() string               { return "" }
func (t *tone) StreamID() string          { return "pion-softphone" }
func (t *tone) Kind() webrtc.RTPCodecType { return webrtc.RTPCodecTypeAudio }

// Bind is told the negotiated codec once SRTP can carry packets.
func (t *tone) Bind(context webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	if len(context.CodecParameters()) == 0 {
		return webrtc.RTPCodecParameters{}, webrtc.ErrUnsupportedCodec
	}
	codec := context.CodecParameters()[0]
	payload, step := opusSilence, uint32(opusClockSamples)
	if strings.EqualFold(codec.MimeType, webrtc.MimeTypePCMU) {
		payload, step = pcmuTone(), pcmuSamples
	}
	go t.send(context.WriteStream(), uint32(context.SSRC()), uint8(codec.PayloadType), payload, step)
	return codec, nil
}

func (t *tone) Unbind(webrtc.TrackLocalContext) error { return nil }

func (t *tone) send(to webrtc.TrackLocalWriter, ssrc uint32, payloadType uint8, payload []byte, step uint32) {
	defer close(t.silent)
	schedule := time.NewTicker(packetInterval)
	defer schedule.Stop()
	header := rtp.Header{Version: 2, PayloadType: payloadType, SSRC: ssrc, SequenceNumber: 1, Marker: true}
	for {
		select {
		case <-t.hushed:
			return
		case <-schedule.C:
		}
		written, err := to.WriteRTP(&header, payload)
		if err != nil {
			return
		}
		t.mu.Lock()
		if written > 0 {
			t.counted.PacketsSent++
			t.counted.BytesSent += uint64(written)
		}
		t.mu.Unlock()
		header.SequenceNumber++
		header.Timestamp += step
		header.Marker = false
	}
}

// hush stops sending; the last packet is out when it returns.
func (t *tone) hush() {
	t.quieting.Do(func() { close(t.hushed) })
	select {
	case <-t.silent:
	case <-time.After(time.Second):
	}
}

// pcmuTone is 20 ms of a 400 Hz sine in G.711 μ-law.
func pcmuTone() []byte {
	samples := make([]byte, pcmuSamples)
	for n := range samples {
		samples[n] = muLaw(int(toneAmplitude * math.Sin(2*math.Pi*toneHz*float64(n)/pcmuSampleRate)))
	}
	return samples
}

// muLaw encodes one 16-bit sample (ITU-T G.711 §A.2).
func muLaw(sample int) byte {
	const bias, clip = 0x84, 32635
	sign := byte(0)
	if sample < 0 {
		sign, sample = 0x80, -sample
	}
	if sample > clip {
		sample = clip
	}
	sample += bias
	exponent := 7
	for mask := 0x4000; exponent > 0 && sample&mask == 0; mask >>= 1 {
		exponent--
	}
	return ^(sign | byte(exponent<<4) | byte(sample>>(exponent+3))&0x0f)
}

// softphone is one call.
type softphone struct {
	options    options
	started    time.Time
	connection *webrtc.PeerConnection
	socket     *websocket.Conn
	writing    sync.Mutex
	tone       *tone
	messages   chan message
	settled    chan struct{}
	settling   sync.Once

	mu                  sync.Mutex
	report              ending
	received            media
	firstSeq, lastSeq   int64
	remoteKnown         bool
	earlyCandidates     []webrtc.ICECandidateInit
	describedLocally    bool
	undeliveredMessages []message
}

func (s *softphone) note(format string, values ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := time.Since(s.started).Milliseconds()
	s.report.Seen = append(s.report.Seen, fmt.Sprintf("%d ms ", at)+fmt.Sprintf(format, values...))
}

func newSoftphone(given options) (*softphone, error) {
	s := &softphone{
		options: given, started: time.Now(), tone: newTone(), messages: make(chan message, 256), settled: make(chan struct{}),
		report: ending{Peer: "pion", Version: pionVersion(), State: "new"}, firstSeq: -1,
	}
	engine := &webrtc.MediaEngine{}
	if err := registerCodecs(engine, given.codec); err != nil {
		return nil, err
	}
	interceptors := &interceptor.Registry{}
	if err := webrtc.RegisterDefaultInterceptors(engine, interceptors); err != nil {
		return nil, err
	}
	network := webrtc.SettingEngine{}
	network.SetIncludeLoopbackCandidate(true)
	network.SetIPFilter(func(address net.IP) bool { return address.IsLoopback() })
	network.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	network.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	api := webrtc.NewAPI(webrtc.WithMediaEngine(engine), webrtc.WithInterceptorRegistry(interceptors), webrtc.WithSettingEngine(network))
	configuration := webrtc.Configuration{}
	if given.stun != "" {
		configuration.ICEServers = []webrtc.ICEServer{{URLs: []string{given.stun}}}
	}
	connection, err := api.NewPeerConnection(configuration)
	if err != nil {
		return nil, err
	}
	s.connection = connection
	connection.OnConnectionStateChange(s.stateChanged)
	connection.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { s.listen(track) })
	dialer := websocket.Dialer{HandshakeTimeout: signalingDeadline}
	socket, _, err := dialer.Dial(given.signaling, nil)
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", given.signaling, err)
	}
	s.socket = socket
	go s.read()
	return s, nil
}

// registerCodecs has pion speak PCMU, and before it Opus unless only PCMU is asked for.
func registerCodecs(engine *webrtc.MediaEngine, asked string) error {
	opus := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2, SDPFmtpLine: "minptime=10;useinbandfec=1"}
	pcmu := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypePCMU, ClockRate: pcmuSampleRate}
	if asked == "opus" {
		codec := webrtc.RTPCodecParameters{RTPCodecCapability: opus, PayloadType: opusPayloadType}
		if err := engine.RegisterCodec(codec, webrtc.RTPCodecTypeAudio); err != nil {
			return err
		}
	}
	return engine.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: pcmu, PayloadType: 0}, webrtc.RTPCodecTypeAudio)
}

func (s *softphone) stateChanged(state webrtc.PeerConnectionState) {
	s.note("connectionState %s", state)
	if state != webrtc.PeerConnectionStateClosed {
		s.mu.Lock()
		s.report.State = state.String()
		s.mu.Unlock()
	}
	if state == webrtc.PeerConnectionStateConnected || state == webrtc.PeerConnectionStateFailed {
		s.settling.Do(func() { close(s.settled) })
	}
}

// listen counts the packets of a remote track, lost ones by sequence number (RFC 3550 A.3).
func (s *softphone) listen(track *webrtc.TrackRemote) {
	name := strings.ToLower(strings.TrimPrefix(track.Codec().MimeType, "audio/"))
	s.mu.Lock()
	s.report.Codec = &name
	s.mu.Unlock()
	for {
		packet, _, err := track.ReadRTP()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.received.PacketsReceived++
		s.received.BytesReceived += uint64(packet.MarshalSize())
		if s.firstSeq < 0 {
			s.firstSeq, s.lastSeq = int64(packet.SequenceNumber), int64(packet.SequenceNumber)
		}
		if ahead := int16(packet.SequenceNumber - uint16(s.lastSeq)); ahead > 0 {
			s.lastSeq += int64(ahead)
		}
		s.received.PacketsLost = s.lastSeq - s.firstSeq + 1 - int64(s.received.PacketsReceived)
		s.mu.Unlock()
	}
}

func (s *softphone) read() {
	for {
		var got message
		if err := s.socket.ReadJSON(&got); err != nil {
			s.messages <- message{Type: "socket closed", Message: err.Error()}
			return
		}
		switch got.Type {
		case "candidate":
			if got.Candidate != nil {
				s.takeCandidate(*got.Candidate)
			}
		case "ping":
			s.send(message{Type: "pong"})
		default:
			s.note("got %s", got.Type)
			s.messages <- got
		}
	}
}

func (s *softphone) takeCandidate(candidate webrtc.ICECandidateInit) {
	s.note("got candidate '%s'", candidate.Candidate)
	s.mu.Lock()
	if !s.remoteKnown {
		s.earlyCandidates = append(s.earlyCandidates, candidate)
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	if err := s.connection.AddICECandidate(candidate); err != nil {
		s.note("candidate refused: %v", err)
	}
}

func (s *softphone) send(sent message) {
	s.note("sent %s", sent.Type)
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.socket.WriteJSON(sent); err != nil {
		s.note("could not send %s: %v", sent.Type, err)
	}
}

func (s *softphone) expect(kind string, deadline time.Duration) (message, error) {
	select {
	case got := <-s.messages:
		if got.Type != kind {
			return got, fmt.Errorf("expected '%s', got %+v", kind, got)
		}
		return got, nil
	case <-time.After(deadline):
		return message{}, fmt.Errorf("no '%s' message within %s", kind, deadline)
	}
}

// trickle sends candidates once the description they belong to has been sent; without trickle they are only part of the SDP.
func (s *softphone) trickle(call string) {
	if s.options.full {
		return
	}
	s.connection.OnICECandidate(func(candidate *webrtc.ICECandidate) {
		mid, line := "0", uint16(0)
		init := webrtc.ICECandidateInit{SDPMid: &mid, SDPMLineIndex: &line}
		if candidate != nil {
			init.Candidate = candidate.ToJSON().Candidate
		}
		sent := message{Type: "candidate", Call: call, Candidate: &init}
		s.mu.Lock()
		if !s.describedLocally {
			s.undeliveredMessages = append(s.undeliveredMessages, sent)
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		s.send(sent)
	})
}

// describe sets the local description and sends it, then the candidates found meanwhile.
func (s *softphone) describe(description webrtc.SessionDescription, sent message) error {
	s.trickle(sent.Call)
	gathered := webrtc.GatheringCompletePromise(s.connection)
	if err := s.connection.SetLocalDescription(description); err != nil {
		return err
	}
	sent.Sdp = description.SDP
	if s.options.full {
		select {
		case <-gathered:
		case <-time.After(signalingDeadline):
			return fmt.Errorf("gathering not complete within %s", signalingDeadline)
		}
		sent.Sdp = s.connection.LocalDescription().SDP
	}
	s.send(sent)
	s.mu.Lock()
	held := s.undeliveredMessages
	s.describedLocally = true
	s.mu.Unlock()
	for _, candidate := range held {
		s.send(candidate)
	}
	return nil
}

func (s *softphone) describeRemote(kind webrtc.SDPType, sdp string) error {
	if err := s.connection.SetRemoteDescription(webrtc.SessionDescription{Type: kind, SDP: sdp}); err != nil {
		return err
	}
	s.mu.Lock()
	early := s.earlyCandidates
	s.remoteKnown = true
	s.mu.Unlock()
	for _, candidate := range early {
		if err := s.connection.AddICECandidate(candidate); err != nil {
			s.note("candidate refused: %v", err)
		}
	}
	return nil
}

func (s *softphone) connected() error {
	select {
	case <-s.settled:
	case <-time.After(connectDeadline):
		return fmt.Errorf("not connected within %s; connectionState %s", connectDeadline, s.connection.ConnectionState())
	}
	if state := s.connection.ConnectionState(); state != webrtc.PeerConnectionStateConnected {
		return fmt.Errorf("connectionState %s instead of connected", state)
	}
	return nil
}

func (s *softphone) accounts() *media {
	s.tone.mu.Lock()
	counted := s.tone.counted
	s.tone.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	counted.PacketsReceived, counted.BytesReceived, counted.PacketsLost = s.received.PacketsReceived, s.received.BytesReceived, s.received.PacketsLost
	s.report.PacketsSent, s.report.PacketsReceived, s.report.PacketsLost = counted.PacketsSent, counted.PacketsReceived, counted.PacketsLost
	return &counted
}

// settle waits, at most 500 ms, until everything that the other side says it sent has come.
func (s *softphone) settle(bye message) {
	s.mu.Lock()
	s.report.PeerAccounts = bye.Media
	s.mu.Unlock()
	for giveUp := time.Now().Add(settleDeadline); bye.Media != nil && time.Now().Before(giveUp); time.Sleep(packetInterval) {
		if s.accounts().PacketsReceived >= bye.Media.PacketsSent {
			return
		}
	}
}

// talk holds the call, and longer where the packets asked for are late.
func (s *softphone) talk() {
	giveUp := time.Now().Add(s.options.hold * patience)
	time.Sleep(s.options.hold)
	for time.Now().Before(giveUp) {
		counted := s.accounts()
		if counted.PacketsSent >= s.options.packets && counted.PacketsReceived >= s.options.packets {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (s *softphone) place() error {
	call := fmt.Sprintf("pion-%d", time.Now().UnixNano())
	if _, err := s.connection.AddTransceiverFromTrack(s.tone); err != nil {
		return err
	}
	offer, err := s.connection.CreateOffer(nil)
	if err != nil {
		return err
	}
	if err := s.describe(offer, message{Type: "offer", Call: call, To: s.options.call}); err != nil {
		return err
	}
	answer, err := s.expect("answer", answerDeadline)
	if err != nil {
		return err
	}
	if err := s.describeRemote(webrtc.SDPTypeAnswer, answer.Sdp); err != nil {
		return err
	}
	if err := s.connected(); err != nil {
		return err
	}
	s.talk()
	s.tone.hush()
	s.send(message{Type: "bye", Call: call, Media: s.accounts()})
	bye, err := s.expect("bye", byeDeadline)
	if err != nil {
		return err
	}
	s.settle(bye)
	return nil
}

func (s *softphone) answer() error {
	s.send(message{Type: "register", Name: s.options.answerAs})
	if _, err := s.expect("registered", signalingDeadline); err != nil {
		return err
	}
	fmt.Println(`{"event":"registered"}`)
	offer, err := s.expect("offer", s.options.deadline)
	if err != nil {
		return err
	}
	if _, err := s.connection.AddTrack(s.tone); err != nil {
		return err
	}
	if err := s.describeRemote(webrtc.SDPTypeOffer, offer.Sdp); err != nil {
		return err
	}
	answer, err := s.connection.CreateAnswer(nil)
	if err != nil {
		return err
	}
	if err := s.describe(answer, message{Type: "answer", Call: offer.Call}); err != nil {
		return err
	}
	if err := s.connected(); err != nil {
		return err
	}
	bye, err := s.expect("bye", s.options.deadline)
	if err != nil {
		return err
	}
	s.tone.hush()
	s.settle(bye)
	s.send(message{Type: "bye", Call: offer.Call, Media: s.accounts()})
	return nil
}

// finish prints the last line and leaves; only the first caller does.
func (s *softphone) finish(err error) {
	s.accounts()
	if err := s.connection.Close(); err != nil {
		s.note("close: %v", err)
	}
	if err := s.socket.Close(); err != nil {
		s.note("socket close: %v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report.Event = "ended"
	status := 0
	if err != nil {
		s.report.Event, s.report.Reason, status = "failed", err.Error(), 1
	}
	printAndLeave(s.report, status)
}

func printAndLeave(report ending, status int) {
	if err := json.NewEncoder(os.Stdout).Encode(report); err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	os.Exit(status)
}

// pionVersion is the version of the webrtc module that this program was built with.
func pionVersion() string {
	build, known := debug.ReadBuildInfo()
	if !known {
		return "unknown"
	}
	for _, module := range build.Deps {
		if module.Path == "github.com/pion/webrtc/v4" {
			return module.Version
		}
	}
	return "unknown"
}

func parse() options {
	var given options
	var hold, deadline float64
	flag.StringVar(&given.signaling, "signaling", "", "ws:// URL of the signaling server")
	flag.StringVar(&given.stun, "stun", "", "stun:host:port (default none)")
	flag.StringVar(&given.call, "call", "", "name to call")
	flag.StringVar(&given.answerAs, "answer-as", "", "name to register; answers the first call")
	flag.StringVar(&given.codec, "codec", "opus", "opus: Opus and PCMU; pcmu: only that one")
	flag.BoolVar(&given.full, "full", false, "all candidates in the SDP instead of trickled")
	flag.Float64Var(&hold, "hold-s", 3.5, "caller: least seconds of audio before it hangs up")
	flag.Uint64Var(&given.packets, "packets", 100, "caller: least packets each way before it hangs up")
	flag.Float64Var(&deadline, "deadline-s", 40, "seconds the whole run may take")
	flag.Parse()
	given.hold = time.Duration(hold * float64(time.Second))
	given.deadline = time.Duration(deadline * float64(time.Second))
	if given.signaling == "" || (given.call == "") == (given.answerAs == "") || (given.codec != "opus" && given.codec != "pcmu") {
		flag.Usage()
		os.Exit(2)
	}
	return given
}

func main() {
	given := parse()
	s, err := newSoftphone(given)
	if err != nil {
		printAndLeave(ending{Event: "failed", Reason: err.Error(), Peer: "pion", Version: pionVersion()}, 1)
	}
	ended := make(chan error, 1)
	go func() {
		if given.answerAs != "" {
			ended <- s.answer()
		} else {
			ended <- s.place()
		}
	}()
	select {
	case err = <-ended:
	case <-time.After(given.deadline):
		err = fmt.Errorf("not done within %s", given.deadline)
	}
	s.finish(err)
}
