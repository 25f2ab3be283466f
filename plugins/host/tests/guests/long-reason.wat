;; Gives a reason of 60,000 bytes.
;;; pick
(memory.fill (i32.const 4096) (i32.const 0x61) (i32.const 60000))
(call $refuse (i32.const 503) (i32.const 4096) (i32.const 60000))
