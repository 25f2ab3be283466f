;; Asks for memory for ever, whatever it is told.
;;; pick
(loop $ever (drop (memory.grow (i32.const 1))) (br $ever))
unreachable
